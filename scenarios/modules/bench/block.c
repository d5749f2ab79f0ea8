// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large contiguous memory with struct pages, owned by us: what is mapped here must not
 * be freed by anybody else meanwhile, or the sanitizer rightly reports it.
 *
 * The allocator's blocks of the highest order are taken until a row of them covers an
 * aligned range; the others are given back.
 */
#include <linux/gfp.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "bench.h"

#define ORDER MAX_PAGE_ORDER
#define PART (PAGE_SIZE << ORDER)
#define TAKE_MAX 2048

static int compare(const void *a, const void *b)
{
	unsigned long x = page_to_pfn(*(struct page **)a), y = page_to_pfn(*(struct page **)b);

	return x < y ? -1 : x > y;
}

/* The index at which an aligned row of n parts begins; -1 if there is none. */
static int find_row(struct page **parts, unsigned int taken, unsigned int n)
{
	unsigned int first, last;

	for (first = 0; first + n <= taken; first++) {
		if (page_to_phys(parts[first]) & (n * PART - 1))
			continue;
		last = first + n - 1;
		if (page_to_pfn(parts[last]) - page_to_pfn(parts[first]) == (n - 1UL) << ORDER)
			return first;
	}
	return -1;
}

static void free_parts(struct page **parts, unsigned int n)
{
	while (n--)
		__free_pages(parts[n], ORDER);
}

int block_alloc(struct block *b, size_t size)
{
	unsigned int taken = 0, n = DIV_ROUND_UP(size, PART);
	struct page **parts, *page;
	int row = -1;

	parts = kcalloc(TAKE_MAX, sizeof(*parts), GFP_KERNEL);
	if (!parts)
		return -ENOMEM;

	while (row < 0 && taken < TAKE_MAX) {
		page = alloc_pages(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN, ORDER);
		if (!page)
			break;
		parts[taken++] = page;
		/* Looking is not free: once for each as many as are needed. */
		if (taken < n || taken % n)
			continue;
		sort(parts, taken, sizeof(*parts), compare, NULL);
		row = find_row(parts, taken, n);
	}
	if (row < 0) {
		sort(parts, taken, sizeof(*parts), compare, NULL);
		row = find_row(parts, taken, n);
	}
	if (row < 0) {
		pr_err("dmasan-bench: no %zu MiB of contiguous memory: the machine needs more\n",
		       size >> 20);
		free_parts(parts, taken);
		kfree(parts);
		return -ENOMEM;
	}
	free_parts(parts + row + n, taken - row - n);
	free_parts(parts, row);
	memmove(parts, parts + row, n * sizeof(*parts));
	*b = (struct block){ .parts = parts, .n = n, .size = size };
	b->phys = page_to_phys(parts[0]);
	return 0;
}

void block_free(struct block *b)
{
	free_parts(b->parts, b->n);
	kfree(b->parts);
}
