#include "skipattn/serving/server.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <map>
#include <thread>

#include "skipattn/core/errors.h"
#include "skipattn/serving/connection.h"

namespace skipattn::serving {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

struct Server::Parts : ConnectionHost {
  Parts(Service& what, const ServerOptions& how, LogSink log_sink)
      : answers(what), settings(how), sink(std::move(log_sink)), acceptor(context), pause(context) {}
  ~Parts() override {
    context.stop();
    if (thread.joinable()) thread.join();
    connections.clear();
  }

  Service& service() override { return answers; }
  const ServerOptions& options() const override { return settings; }
  void log(const std::string& line) override {
    if (sink) sink(line);
  }
  void closed(const Connection* connection) override { connections.erase(connection); }

  void listen();
  void accept();
  void add(tcp::socket socket);
  void run();
  void close();

  Service& answers;
  const ServerOptions settings;
  const LogSink sink;
  asio::io_context context{1};
  tcp::acceptor acceptor;
  asio::steady_timer pause;  // before the next attempt to accept, where the machine is short of something
  std::map<const Connection*, std::shared_ptr<Connection>> connections;
  std::promise<void> ended;
  std::thread thread;
};

void Server::Parts::listen() {
  const auto fail = [&](const std::string& reason) {
    throw InputError("cannot listen on {} port {}: {}", settings.host, settings.port, reason);
  };
  ErrorCode error;
  const auto found =
      tcp::resolver(context).resolve(settings.host, std::to_string(settings.port), tcp::resolver::passive, error);
  if (error || found.empty()) fail(error.message());
  const tcp::endpoint endpoint = *found.begin();
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) fail(error.message());
}

void Server::Parts::accept() {
  acceptor.async_accept([this](ErrorCode error, tcp::socket socket) {
    if (!acceptor.is_open()) return;
    if (!error) {
      add(std::move(socket));
      return accept();
    }
    pause.expires_after(std::chrono::milliseconds(50));  // out of file descriptors, perhaps
    pause.async_wait([this](ErrorCode cancelled) {
      if (!cancelled && acceptor.is_open()) accept();
    });
  });
}

void Server::Parts::add(tcp::socket socket) {
  const auto connection = std::make_shared<Connection>(std::move(socket), *this);
  const bool room = static_cast<int64_t>(connections.size()) < settings.connections;
  connections.emplace(connection.get(), connection);
  if (room)
    connection->start();
  else
    connection->refuse();
}

void Server::Parts::run() {
  while (true) {
    try {
      context.run();
      break;
    } catch (const std::exception& error) {  // one connection's; the others go on
      log(fmt::format("internal error: {}", error.what()));
    }
  }
  ended.set_value();
}

void Server::Parts::close() {
  ErrorCode ignored;
  acceptor.close(ignored);
  pause.cancel();
  const auto open = connections;  // those that close at once leave the map
  for (const auto& [key, connection] : open) connection->close_when_done();
}

Server::Server(Service& service, const ServerOptions& options, LogSink log)
    : parts_(std::make_unique<Parts>(service, options, std::move(log))) {
  parts_->listen();
}

Server::~Server() = default;

int Server::port() const {
  return parts_->acceptor.local_endpoint().port();
}

void Server::start() {
  parts_->accept();
  parts_->thread = std::thread([parts = parts_.get()] { parts->run(); });
}

void Server::stop() {
  asio::post(parts_->context, [parts = parts_.get()] { parts->close(); });
  parts_->ended.get_future().wait_for(std::chrono::seconds(2));
}

}  // namespace skipattn::serving
