#include "skipattn/serving/connection.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

namespace skipattn::serving {

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kHeaderBytes = 16 << 10;
/// What a client may still send after its last answer, and for how long.
constexpr size_t kForgottenBytes = 256 << 20;
constexpr double kLingerSeconds = 2;

std::string_view as_view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

std::string_view path_of(std::string_view target) {
  return target.substr(0, target.find('?'));
}

}  // namespace

Connection::Connection(tcp::socket socket, ConnectionHost& host)
    : socket_(std::move(socket)), host_(host), timer_(socket_.get_executor()) {
  ErrorCode ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
}

void Connection::read_request() {
  state_ = State::kReading;
  parser_.emplace();
  parser_->header_limit(kHeaderBytes);
  parser_->body_limit(static_cast<uint64_t>(host_.options().body_bytes));
  request_line_ = "(no request)";
  arrived_ = Clock::now();
  arm(host_.options().read_seconds);
  http::async_read(socket_, buffer_, *parser_,
                   [self = shared_from_this()](ErrorCode error, size_t) { self->on_request(error); });
}

void Connection::on_request(ErrorCode error) {
  if (state_ == State::kClosed) return;
  disarm();
  if (parser_->is_header_done())
    request_line_ =
        fmt::format("{} {}", as_view(parser_->get().method_string()), as_view(parser_->get().target()).substr(0, 80));
  last_request_ = last_request_ || error || !parser_->keep_alive();
  if (!error) return respond();
  if (timed_out_ && parser_->got_some())
    return answer_error(ApiError(
        408, "timeout", fmt::format("the request did not arrive within {} seconds", host_.options().read_seconds)));
  if (error == http::error::body_limit)
    return answer_error(ApiError(
        413, "too_large",
        fmt::format("the body is longer than {} bytes, the most this server takes", host_.options().body_bytes)));
  if (error == http::error::header_limit)
    return answer_error(ApiError(431, "too_large", fmt::format("the header is longer than {} bytes", kHeaderBytes)));
  if (error.category() == http::make_error_code(http::error::bad_method).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message)
    return answer_error(ApiError(400, "", fmt::format("this is not an HTTP request: {}", error.message())));
  close();
}

void Connection::respond() {
  const auto& request = parser_->get();
  const std::string_view method = as_view(request.method_string()), path = path_of(as_view(request.target()));
  arrived_ = Clock::now();
  try {
    if (!Service::is_completion(method, path)) return answer(200, host_.service().answer(method, path));
    state_ = State::kAnswering;
    completion_ = host_.service().complete(request.body(), [weak = weak_from_this(), executor = socket_.get_executor(),
                                                            turn = ++turn_](Delivery delivery) {
      asio::post(executor, [weak, turn, delivery = std::move(delivery)]() mutable {
        if (const auto self = weak.lock()) self->take(turn, std::move(delivery));
      });
    });
    if (completion_->request().stream && request.version() < 11)
      throw ApiError(400, "", "stream=true: needs HTTP/1.1 or newer");
    watch_for_hang_up();
  } catch (const ApiError& error) {
    answer_error(error);
  } catch (const std::exception& error) {
    answer_error(ApiError(500, "", error.what()));
  }
}

void Connection::refuse() {
  last_request_ = true;
  request_line_ = "(connection)";
  parser_.emplace();
  arrived_ = Clock::now();
  answer_error(ApiError(503, "overloaded",
                        fmt::format("{} connections are open already; try again later", host_.options().connections)));
}

void Connection::answer_error(const ApiError& error) {
  if (completion_) completion_->cancel();
  answer(error.status(), error.json());
}

/// A whole answer.
void Connection::answer(int status, std::string body) {
  completion_.reset();
  deliveries_.clear();
  state_ = State::kWriting;
  response_ = {};
  response_.version(11);
  response_.result(static_cast<unsigned>(status));
  response_.set(http::field::content_type, "application/json");
  if (status == 405)
    response_.set(http::field::allow, Service::allowed_method(path_of(as_view(parser_->get().target()))));
  if (status == 503) response_.set(http::field::retry_after, "1");
  response_.keep_alive(!last_request_);
  response_.body() = std::move(body);
  response_.prepare_payload();
  log_answer(status);
  arm(host_.options().write_seconds);
  http::async_write(socket_, response_, [self = shared_from_this()](ErrorCode error, size_t) {
    self->finish_answer(!error && !self->last_request_);
  });
}

void Connection::finish_answer(bool keep) {
  if (state_ == State::kClosed) return;
  disarm();
  completion_.reset();
  deliveries_.clear();
  streaming_ = false;
  response_ = {};
  if (keep) return read_request();
  linger();
}

/// A part of the answer has been made.
void Connection::take(uint64_t turn, Delivery delivery) {
  if (!completion_ || turn != turn_) return;  // refused or hung up
  const bool first = deliveries_.empty();
  deliveries_.push_back(std::move(delivery));
  if (first) write_next();
}

void Connection::write_next() {
  if (streaming_) return write_events();
  Delivery& delivery = deliveries_.front();
  if (!completion_->request().stream || delivery.status != 200)
    return answer(delivery.status, std::move(delivery.body));
  begin_stream();
}

void Connection::begin_stream() {
  state_ = State::kWriting;
  stream_head_ = {};
  stream_head_.version(11);
  stream_head_.result(http::status::ok);
  stream_head_.set(http::field::content_type, "text/event-stream");
  stream_head_.set(http::field::cache_control, "no-cache");
  stream_head_.chunked(true);
  stream_head_.keep_alive(!last_request_);
  streaming_ = true;
  head_writer_.emplace(stream_head_);
  arm(host_.options().write_seconds);
  http::async_write_header(socket_, *head_writer_, [self = shared_from_this()](ErrorCode error, size_t) {
    if (error || self->state_ == State::kClosed) return self->close();
    self->write_events();
  });
}

/// Everything that is ready, in one chunk.
void Connection::write_events() {
  arm(host_.options().write_seconds);
  const size_t count = deliveries_.size();
  const bool last = deliveries_.back().last;
  scratch_.clear();
  for (const Delivery& delivery : deliveries_) scratch_ += delivery.body;
  asio::async_write(socket_, http::make_chunk(asio::buffer(scratch_)),
                    [self = shared_from_this(), count, last](ErrorCode error, size_t) {
                      if (error || self->state_ == State::kClosed) return self->close();
                      self->deliveries_.erase(self->deliveries_.begin(),
                                              self->deliveries_.begin() + static_cast<std::ptrdiff_t>(count));
                      if (last) return self->end_stream();
                      self->disarm();
                      if (!self->deliveries_.empty()) self->write_events();
                    });
}

void Connection::end_stream() {
  log_answer(200);
  asio::async_write(socket_, http::make_chunk_last(), [self = shared_from_this()](ErrorCode error, size_t) {
    self->finish_answer(!error && !self->last_request_);
  });
}

/// Readable without a request to read: the client has hung up, or sends its next request already.
void Connection::watch_for_hang_up() {
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this(), turn = turn_](ErrorCode error) {
    if (error || !self->completion_ || self->turn_ != turn) return;
    char byte = 0;
    ErrorCode failure;
    const size_t count = self->socket_.receive(asio::buffer(&byte, 1), tcp::socket::message_peek, failure);
    if (failure || count == 0) self->close();
  });
}

void Connection::arm(double seconds) {
  timer_.expires_after(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)));
  timer_.async_wait([self = shared_from_this(), alarm = ++alarms_](ErrorCode error) {
    if (!error && self->alarms_ == alarm) self->on_time_out();
  });
}

void Connection::disarm() {
  ++alarms_;
  timer_.cancel();
}

void Connection::on_time_out() {
  if (state_ != State::kReading) return close();
  timed_out_ = true;
  ErrorCode ignored;
  socket_.cancel(ignored);  // on_request() goes on
}

void Connection::close_when_done() {
  last_request_ = true;
  if (state_ == State::kReading) close();
}

/// Closing at once could destroy an answer that the client has not read, when it is still sending.
void Connection::linger() {
  state_ = State::kLingering;
  ErrorCode error;
  socket_.shutdown(tcp::socket::shutdown_send, error);
  if (error) return close();
  arm(kLingerSeconds);
  scratch_.resize(64 << 10);
  read_and_forget();
}

void Connection::read_and_forget() {
  socket_.async_read_some(asio::buffer(scratch_), [self = shared_from_this()](ErrorCode error, size_t count) {
    if (self->state_ == State::kClosed) return;
    self->forgotten_ += count;
    if (error || self->forgotten_ > kForgottenBytes) return self->close();
    self->read_and_forget();
  });
}

void Connection::close() {
  if (state_ == State::kClosed) return;
  if (completion_) {
    completion_->cancel();
    request_line_ += " (hung up)";
    log_answer(499);  // what nginx calls a client that did not wait
  }
  state_ = State::kClosed;
  completion_.reset();
  disarm();
  ErrorCode ignored;
  socket_.close(ignored);
  host_.closed(this);
}

void Connection::log_answer(int status) {
  const std::chrono::duration<double> seconds = Clock::now() - arrived_;
  host_.log(fmt::format("{} {} {:.3f} s", request_line_, status, seconds.count()));
}

}  // namespace skipattn::serving
