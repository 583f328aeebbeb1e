// Stopping early: Ctrl-C, SIGTERM and SIGUSR1 (what batch systems send before they kill) raise one flag that long loops
// look at between steps, save what they have, and throw Stopped.
#pragma once

namespace skipattn {

/// Catches SIGINT, SIGTERM and SIGUSR1 from now on. A second SIGINT ends the process the ordinary way.
void catch_stop_signals();
/// True once a signal asked for the end (or request_stop() was called).
bool stop_requested();
/// The same as a signal, for tests and for embedding programs.
void request_stop();
/// Forgets an earlier request (tests).
void clear_stop_request();

}  // namespace skipattn
