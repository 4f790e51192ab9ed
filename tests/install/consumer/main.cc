// SPDX-License-Identifier: MIT
// The same from C++, with a value view and a loader.
#include <kamacache/kamacache.h>

#include <iostream>
#include <string>

static kama_status load(void *, const kama_load *, kama_sink *out)
{
    return kama_sink_set(out, KAMA_STR("hello"), nullptr);
}

int main()
{
    kama_group_options options;
    kama_group_options_init(&options);
    options.name = "greetings";
    options.loader = load;
    kama_group *group;
    kama_value *value;
    if (kama_group_new(&options, &group) != KAMA_OK ||
        kama_get(group, KAMA_STR("en"), nullptr, &value) != KAMA_OK) {
        return 1;
    }
    kama_group_free(group);
    kama_bytes bytes = kama_value_bytes(value);
    std::string text(static_cast<const char *>(bytes.data), bytes.len);
    kama_value_unref(value);
    std::cout << kama_version() << ' ' << text << '\n';
    return text == "hello" ? 0 : 1;
}
