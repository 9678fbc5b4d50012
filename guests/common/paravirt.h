// Paravirtualization, for kernels that are built with PARAVIRT: they run on a hart as ever, and make
// hypercalls where they find a VMM that offers them. In other builds `paravirtual` is a constant, and
// what depends on it is not there.
#pragma once

#include "hypercall.h"

#ifdef PARAVIRT
extern bool paravirtual; // whether the VMM offers hypercalls; set once, before anything else
#else
enum { paravirtual = false };
#endif

extern struct hc_shared pv_shared;

// Begins: the shared page, and the console's ring. With paging off.
void pv_start(void);

// Page tables: changes are collected, and made when pv_flush is called, or there are many.
void pv_set_entry(uint64_t *entry, uint64_t value);
uint64_t pv_get_entry(const uint64_t *entry); // as it will be
void pv_update(uint64_t what, uint64_t address, uint64_t value);
void pv_flush(void);

void pv_set_roots(uint64_t kernel, uint64_t user); // physical addresses of tables
void pv_print(const char *text, uint64_t length);

// The disk: its sectors, 0 if there is none; and a request, for which it waits. Returns HC_DONE to
// HC_REFUSED.
uint64_t pv_disk_start(void);
unsigned pv_disk(uint32_t operation, uint64_t sector, const void *data, uint64_t length);

bool pv_wait_for_timer(void); // true if its time has come, false if something else ended the wait
