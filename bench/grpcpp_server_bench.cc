// SPDX-License-Identifier: MIT
// A server to compare with: it serves kama.v1 Get with the callback API of
// grpc++ from a std::unordered_map under a mutex. It prints its port and runs
// until it gets SIGTERM.
//
//   grpcpp_server_bench VALUE_BYTES
#include <grpcpp/grpcpp.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <unordered_map>

#include "kama/v1/kama.grpc.pb.h"

namespace
{

class Service final : public kama::v1::KamaCacheService::CallbackService
{
  public:
    explicit Service(size_t value_bytes)
    {
        map_["default/bench"] = std::string(value_bytes, 'x');
    }

    grpc::ServerUnaryReactor *Get(grpc::CallbackServerContext *context,
                                  const kama::v1::GetRequest *request,
                                  kama::v1::GetResponse *response) override
    {
        grpc::ServerUnaryReactor *reactor = context->DefaultReactor();
        std::lock_guard<std::mutex> guard(mutex_);
        auto it = map_.find(request->group() + "/" + request->key());
        if (it == map_.end()) {
            reactor->Finish(grpc::Status(grpc::NOT_FOUND, "no such key"));
            return reactor;
        }
        response->set_value(it->second);
        reactor->Finish(grpc::Status::OK);
        return reactor;
    }

  private:
    std::mutex mutex_;
    std::unordered_map<std::string, std::string> map_;
};

} // namespace

int main(int argc, char **argv)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    Service service(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 100);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&service);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (server == nullptr || port == 0) {
        std::fprintf(stderr, "cannot listen on 127.0.0.1\n");
        return 1;
    }
    std::printf("%d\n", port);
    std::fflush(stdout);
    int signal_number = 0;
    sigwait(&signals, &signal_number);
    server->Shutdown(std::chrono::system_clock::now());
    return 0;
}
