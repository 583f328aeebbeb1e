// One client's connection: request, answer, request, … All of it runs on the server's thread. A client that hangs up while
// its answer is made frees its place; one that is too slow is let go.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "skipattn/serving/server.h"

namespace skipattn::serving {

class Connection;

/// What connections need of their server.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual Service& service() = 0;
  virtual const ServerOptions& options() const = 0;
  virtual void log(const std::string& line) = 0;
  /// The connection is closed and may be forgotten.
  virtual void closed(const Connection* connection) = 0;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using tcp = boost::asio::ip::tcp;
  using ErrorCode = boost::system::error_code;

  Connection(tcp::socket socket, ConnectionHost& host);

  void start() { read_request(); }
  /// Answers 503 and closes: there are too many connections.
  void refuse();
  /// Closes once the answer that is being written is out.
  void close_when_done();

 private:
  enum class State { kReading, kAnswering, kWriting, kLingering, kClosed };

  void read_request();
  void on_request(ErrorCode error);
  void respond();
  void answer_error(const ApiError& error);
  void answer(int status, std::string body);
  void finish_answer(bool keep);

  void take(uint64_t turn, Delivery delivery);
  void write_next();
  void begin_stream();
  void write_events();
  void end_stream();

  void watch_for_hang_up();
  void arm(double seconds);
  void disarm();
  void on_time_out();
  void linger();
  void read_and_forget();
  void close();
  void log_answer(int status);

  tcp::socket socket_;
  ConnectionHost& host_;
  boost::asio::steady_timer timer_;
  State state_ = State::kReading;
  bool timed_out_ = false;
  bool last_request_ = false;  // the connection ends with this answer

  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  std::string request_line_;  // for the log
  std::chrono::steady_clock::time_point arrived_;

  uint64_t turn_ = 0;    // counts completions: deliveries of an earlier one are dropped
  uint64_t alarms_ = 0;  // counts what the timer was set or unset for: an earlier alarm says nothing
  std::shared_ptr<Completion> completion_;
  std::deque<Delivery> deliveries_;
  bool streaming_ = false;  // the head of a stream is out
  boost::beast::http::response<boost::beast::http::string_body> response_;
  boost::beast::http::response<boost::beast::http::empty_body> stream_head_;
  std::optional<boost::beast::http::response_serializer<boost::beast::http::empty_body>> head_writer_;
  std::string scratch_;
  size_t forgotten_ = 0;  // bytes read after the last answer
};

}  // namespace skipattn::serving
