/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that allocate, map, unmap and free pages at random, and know at every moment
 * how often each of their pages is mapped.
 *
 * A page is freed only if that is never, unless it is a planted bug. So every report
 * is a planted bug, or a false alarm.
 */
#ifndef STRESS_H
#define STRESS_H

#include <linux/atomic.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/mm_types.h>
#include <linux/prandom.h>
#include <linux/scatterlist.h>
#include <linux/types.h>

#define STRESS_THREADS		4
#define STRESS_OBJECTS		6
#define STRESS_EXCHANGE		8
#define STRESS_MAPS		4
#define STRESS_DOMAINS		2
#define STRESS_WINDOWS		256
#define STRESS_MAX_ORDER	9
#define STRESS_MAX_PAGES	512	/* of that order */

/* What was done, how often. A run in which one of these never happened proves little. */
enum stress_event {
	STRESS_ALLOC_BLOCK,	/* an order from 1 to 8 */
	STRESS_ALLOC_HUGE,	/* order 9 */
	STRESS_MAP_DOMAIN,	/* iommu_map() in pieces */
	STRESS_MAP_DOMAIN_SG,	/* iommu_map_sg() */
	STRESS_MAP_HUGE,	/* a 2M leaf */
	STRESS_MAP_DMA,		/* dma_map_page() */
	STRESS_MAP_DMA_SG,	/* dma_map_sgtable() */
	STRESS_MAP_AGAIN,	/* a page that was mapped already */
	STRESS_MAP_FAILED,	/* a map that fails half way, on purpose */
	STRESS_UNMAP_WHOLE,	/* what several maps mapped, in one unmap */
	STRESS_UNMAP_PIECES,	/* what was mapped, in several unmaps */
	STRESS_UNMAP_PART,	/* and a part stays mapped */
	STRESS_UNMAP_OVER,	/* a page of a 2M leaf, with which all of it goes */
	STRESS_FREE_WHOLE,	/* a block of pages in one free */
	STRESS_FREE_HUGE,	/* a block of order 9 in one free */
	STRESS_FREE_SINGLE,	/* a page beside others that stay mapped */
	STRESS_EXCHANGED,	/* pages, with their mappings, given to another thread */
	STRESS_EVENTS
};

enum stress_kind { STRESS_FREE_SLOT, STRESS_DOMAIN, STRESS_DOMAIN_SG, STRESS_DMA, STRESS_DMA_SG };

/* One mapping of consecutive pages of an object, which may be in reverse order. */
struct stress_map {
	enum stress_kind kind;
	unsigned int first;	/* the lowest of the pages */
	unsigned int pages;	/* how many were mapped */
	unsigned int from, to;	/* those still mapped, in the order of their IOVAs */
	bool reversed;
	bool huge;		/* one leaf: all of it is unmapped, or nothing */
	bool pieces;		/* mapped by several calls */
	unsigned int window;
	unsigned long iova;
	dma_addr_t dma;
	size_t bytes;
	struct sg_table sgt;
};

/* Pages that were allocated as one, and how often each is mapped. */
struct stress_object {
	struct page *page;
	unsigned int order;
	bool split;		/* the pages are freed one by one */
	DECLARE_BITMAP(gone, STRESS_MAX_PAGES);
	u8 mapped[STRESS_MAX_PAGES];
	struct stress_map maps[STRESS_MAPS];
};

struct stress {
	struct device *dev;
	struct iommu_domain *domains[STRESS_DOMAINS];
	DECLARE_BITMAP(windows, STRESS_WINDOWS);
	spinlock_t lock;	/* protects the slots of exchange */
	struct stress_object *exchange[STRESS_EXCHANGE];
	atomic_long_t events[STRESS_EVENTS];
	atomic_long_t steps;
	atomic_t errors;
	atomic_t planted;
	unsigned int bugs;
	bool over;		/* unmap more than is asked for, which the reference miscounts */
	bool whole;		/* unmap what was mapped and no part of it, and never map over it */
	unsigned int ms;
	unsigned long start;	/* jiffies */
};

struct stress_thread {
	struct stress *st;
	struct task_struct *task;
	struct rnd_state rnd;
	struct stress_object *objects[STRESS_OBJECTS];
};

/* The sanitizer's own figures; all 0 if it does not publish any. */
struct stress_stats {
	bool valid;
	long findings, continued, turned_away;
	long mapped, negative, reported, sum;
};

static inline u32 below(struct rnd_state *rnd, u32 n)
{
	return prandom_u32_state(rnd) % n;
}

static inline void event(struct stress *st, enum stress_event event)
{
	atomic_long_inc(&st->events[event]);
}

/* main.c: something that must not happen; the module fails to load. */
__printf(2, 3) void stress_error(struct stress *st, const char *fmt, ...);

/* map.c */
void stress_map(struct stress *st, struct rnd_state *rnd, struct stress_object *obj);
void stress_unmap(struct stress *st, struct rnd_state *rnd, struct stress_object *obj);
void stress_unmap_all(struct stress *st, struct rnd_state *rnd, struct stress_object *obj);
void stress_map_over(struct stress *st, struct rnd_state *rnd, struct stress_object *obj);

/* object.c */
struct stress_object *stress_alloc(struct stress *st, struct rnd_state *rnd);
void stress_free(struct stress *st, struct rnd_state *rnd, struct stress_object *obj);
bool stress_free_single(struct stress *st, struct rnd_state *rnd, struct stress_object *obj);

/* thread.c */
int stress_thread(void *data);

/* bugs.c */
void stress_plant_due(struct stress *st);
void stress_plant_rest(struct stress *st);

/* stats.c */
struct stress_stats stress_stats(void);

#endif
