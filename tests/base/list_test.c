/* SPDX-License-Identifier: MIT */
/* The intrusive list: inserting, removing, walking and splicing. */
#include "base/container.h"
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct item {
    int number;
    struct km_list node;
};

/* Returns the numbers in the list as the digits of one number. */
static int digits(struct km_list *head)
{
    struct km_list *node;
    struct km_list *next;
    int shown = 0;
    KM_LIST_FOREACH(node, next, head) {
        shown = shown * 10 + KM_CONTAINER_OF(node, struct item, node)->number;
    }
    return shown;
}

/* Nodes are inserted at both ends and in the middle, removed during a walk, and
 * moved to another list. */
static void test_all(void **state)
{
    (void)state;
    struct km_list head;
    struct km_list other;
    struct km_list *node;
    struct km_list *next;
    struct item items[] = {{1, {0}}, {2, {0}}, {3, {0}}, {4, {0}}};
    km_list_init(&head);
    km_list_init(&other);
    assert_null(km_list_pop_front(&head));
    km_list_push_back(&head, &items[1].node);
    km_list_push_front(&head, &items[0].node);
    km_list_push_back(&head, &items[3].node);
    km_list_insert_before(&items[3].node, &items[2].node);
    assert_int_equal(digits(&head), 1234);
    km_list_remove(&items[2].node);
    assert_true(km_list_empty(&items[2].node));
    km_list_push_back(&other, &items[2].node);
    km_list_splice(&head, &other);
    assert_true(km_list_empty(&other));
    km_list_splice(&head, &other);
    assert_int_equal(digits(&head), 1243);
    KM_LIST_FOREACH(node, next, &head) {
        if (node != &items[3].node) {
            km_list_remove(node);
        }
    }
    assert_int_equal(digits(&head), 4);
    assert_ptr_equal(km_list_pop_front(&head), &items[3].node);
    assert_true(km_list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
