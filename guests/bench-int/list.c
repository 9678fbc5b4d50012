// A linked list: built, sorted by merging, searched, reversed.
#include "bench.h"
#include <stddef.h>

#define NODES 400

struct node {
    struct node *next;
    int32_t key;
    int32_t payload;
};

static struct node nodes[NODES];

static struct node *build(uint64_t seed) {
    struct node *head = NULL;
    for (int i = 0; i < NODES; i++) {
        nodes[i].key = (int32_t)(bench_random(&seed) % 1000) - 500;
        nodes[i].payload = i;
        nodes[i].next = head;
        head = &nodes[i];
    }
    return head;
}

static struct node *merge(struct node *a, struct node *b) {
    struct node *head = NULL, **tail = &head;
    while (a && b) {
        struct node **smaller = a->key <= b->key ? &a : &b;
        *tail = *smaller;
        tail = &(*smaller)->next;
        *smaller = *tail;
    }
    *tail = a ? a : b;
    return head;
}

static struct node *sort(struct node *list) {
    if (!list || !list->next)
        return list;
    struct node *middle = list;
    for (struct node *fast = list->next; fast && fast->next; fast = fast->next->next)
        middle = middle->next;
    struct node *rest = middle->next;
    middle->next = NULL;
    return merge(sort(list), sort(rest));
}

static struct node *reverse(struct node *list) {
    struct node *done = NULL;
    while (list) {
        struct node *next = list->next;
        list->next = done;
        done = list;
        list = next;
    }
    return done;
}

static int find(const struct node *list, int32_t key) {
    int steps = 0;
    for (; list && list->key != key; list = list->next)
        steps++;
    return list ? steps : -1;
}

uint64_t list_run(void) {
    uint64_t checksum = 0;
    struct node *list = sort(build(1));
    for (int32_t key = -500; key < 500; key += 50)
        checksum = bench_mix(checksum, (uint64_t)find(list, key));
    list = reverse(list);
    for (const struct node *n = list; n; n = n->next)
        checksum = bench_mix(checksum, (uint64_t)n->key * 1000 + (uint64_t)n->payload);
    return checksum;
}
