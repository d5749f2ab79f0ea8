// SPDX-License-Identifier: GPL-2.0-only
/*
 * Times of many calls of one kind, and the line in the kernel log that tells them.
 *
 * The median is the figure to use: a timer interrupt that falls into a call makes that
 * one longer, and no other. Of very many calls some at even distances are kept for it.
 */
#include <linux/minmax.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "bench.h"

#define KEPT 4096
/* A series of long calls ends after this much time in them, on the clock of now(). */
#define LONG_ENOUGH 40000000ULL

int series_init(struct series *s)
{
	*s = (struct series){ .min = U64_MAX, .stride = 1 };
	s->kept = kvmalloc_array(KEPT, sizeof(*s->kept), GFP_KERNEL);
	return s->kept ? 0 : -ENOMEM;
}

void series_free(struct series *s)
{
	kvfree(s->kept);
}

int series_init_two(struct series *a, struct series *b)
{
	int ret = series_init(a);

	if (ret)
		return ret;
	ret = series_init(b);
	if (ret)
		series_free(a);
	return ret;
}

void series_free_two(struct series *a, struct series *b)
{
	series_free(a);
	series_free(b);
}

/* Makes room by forgetting every other one; of what follows only so many are kept, too. */
static void thin_out(struct series *s)
{
	unsigned int i;

	for (i = 0; i < KEPT / 2; i++)
		s->kept[i] = s->kept[2 * i];
	s->n = KEPT / 2;
	s->stride *= 2;
}

void series_add(struct series *s, u64 time)
{
	if (s->calls % s->stride == 0) {
		if (s->n == KEPT)
			thin_out(s);
		s->kept[s->n++] = time;
	}
	s->calls++;
	s->total += time;
	s->min = min(s->min, time);
	s->max = max(s->max, time);
}

bool series_enough(const struct series *s, unsigned int least, unsigned int most)
{
	return s->calls >= most || (s->calls >= least && s->total > LONG_ENOUGH);
}

static int compare(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

void report(const char *what, const char *arg, struct series *s)
{
	if (!s->n)
		return;
	sort(s->kept, s->n, sizeof(*s->kept), compare, NULL);
	pr_info("dmasan-bench: %s/%s calls %llu total %llu min %llu median %llu max %llu\n",
		what, arg, s->calls, s->total, s->min, s->kept[s->n / 2], s->max);
}
