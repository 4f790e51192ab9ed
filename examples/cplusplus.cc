// SPDX-License-Identifier: MIT
//
// The library from C++11: a group whose values are held by a smart pointer, and
// a typed single flight.
#include <kamacache/flight.h>
#include <kamacache/kamacache.h>

#include <cstdio>
#include <memory>
#include <string>

namespace
{

struct ValueUnref {
    void operator()(kama_value *value) const
    {
        kama_value_unref(value);
    }
};
using Value = std::unique_ptr<kama_value, ValueUnref>;

struct GroupFree {
    void operator()(kama_group *group) const
    {
        kama_group_free(group);
    }
};
using Group = std::unique_ptr<kama_group, GroupFree>;

std::string text(const Value &value)
{
    kama_bytes b = kama_value_bytes(value.get());
    return std::string(static_cast<const char *>(b.data), b.len);
}

kama_status load_user(void *arg, const kama_load *req, kama_sink *out)
{
    int *loads = static_cast<int *>(arg);
    std::string row("user ");
    row.append(static_cast<const char *>(req->key.data), req->key.len);
    ++*loads;
    return kama_sink_set(out, KAMA_BYTES(row.data(), row.size()), nullptr);
}

std::uint64_t number_hash(int n)
{
    return static_cast<std::uint64_t>(n) * 0x9e3779b97f4a7c15u;
}

int number_equal(int a, int b)
{
    return a == b;
}

kama_status square(void *, int n, long *ret_square)
{
    *ret_square = static_cast<long>(n) * n;
    return KAMA_OK;
}

} // namespace

KAMA_FLIGHT_DEFINE(square_flight, int, long, number_hash, number_equal)

static int use_group()
{
    int loads = 0;
    kama_group_options opts;
    kama_group_options_init(&opts);
    opts.name = "users";
    opts.loader = load_user;
    opts.loader_arg = &loads;

    kama_group *made;
    kama_status st = kama_group_new(&opts, &made);
    if (st != KAMA_OK) {
        std::fprintf(stderr, "%s\n", kama_strerror(st));
        return 1;
    }
    Group users(made);
    for (int i = 0; i < 2; i++) {
        kama_value *got;
        st = kama_get(users.get(), KAMA_STR("tom"), nullptr, &got);
        if (st != KAMA_OK) {
            return 1;
        }
        Value value(got);
        std::printf("%s, %d load\n", text(value).c_str(), loads);
    }
    return loads == 1 ? 0 : 1;
}

static int use_flight()
{
    square_flight flight;
    long result = 0;
    int shared = 0;
    if (square_flight_init(&flight) != KAMA_OK) {
        return 1;
    }
    kama_status st =
        square_flight_do(&flight, 12, square, nullptr, 0, &result, &shared);
    square_flight_fini(&flight);
    std::printf("12 squared is %ld\n", result);
    return st == KAMA_OK && result == 144 ? 0 : 1;
}

int main()
{
    int rc = use_group();
    return rc != 0 ? rc : use_flight();
}
