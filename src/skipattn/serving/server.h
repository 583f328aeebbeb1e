// The HTTP side: one thread that accepts connections, reads requests and writes answers (Boost.Beast on Asio, HTTP/1.1 with
// kept connections). What is answered is service.h's; tokens are made elsewhere (scheduler.h).
//
//   Server server(service, {.port = 8080}, log);   // listens
//   server.start();
//   scheduler.run(stop_requested, grace);          // until a signal; no completion is open afterwards
//   server.stop();                                 // writes what is left, closes all connections
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "skipattn/serving/service.h"

namespace skipattn::serving {

struct ServerOptions {
  std::string host = "127.0.0.1";  ///< address or name to listen on
  int port = 8080;                 ///< 0: any free one
  int64_t body_bytes = 4 << 20;    ///< longest body of a request
  int64_t connections = 256;       ///< open at once; more are answered with 503
  double read_seconds = 30;        ///< from a request's first byte to its last; also how long a connection may idle
  double write_seconds = 30;       ///< for a piece of an answer, from a client that reads too slowly
};

/// Gets one line for each answer, on the server's thread.
using LogSink = std::function<void(const std::string& line)>;

class Server {
 public:
  /// Throws InputError where it cannot listen. `service` must outlive it.
  Server(Service& service, const ServerOptions& options, LogSink log);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// The port it listens on.
  int port() const;
  void start();
  /// Waits up to 2 seconds for clients to take what is written.
  void stop();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace skipattn::serving
