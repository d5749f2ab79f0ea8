/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Measurements of map, unmap, alloc and free.
 *
 * Each kind runs what is measured many times, takes the time of every single call, and
 * hands the times to report(). They return 0 when everything was measured, or an error,
 * which makes the module fail to load. Nothing stays mapped or allocated.
 */
#ifndef BENCH_H
#define BENCH_H

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/mm_types.h>
#include <linux/timex.h>
#include <linux/types.h>

#ifdef CONFIG_X86
#include <asm/msr.h>
#endif

/* The times of the calls of one kind; see series.c. */
struct series {
	u64 *kept;
	unsigned int n, stride;
	u64 calls, total, min, max;
};

int series_init(struct series *s);
void series_free(struct series *s);
void series_add(struct series *s, u64 time);
bool series_enough(const struct series *s, unsigned int least, unsigned int most);
void report(const char *what, const char *arg, struct series *s);

/* The same of something, and of what undoes it: both, or none. */
int series_init_two(struct series *a, struct series *b);
void series_free_two(struct series *a, struct series *b);

/* The first calls of small things fill caches: of IOVAs, of page tables, of the allocators. */
#define WARM_UP 16

/* Time in the finest unit there is, which takes few instructions to read. */
static inline u64 now(void)
{
#ifdef CONFIG_X86
	return rdtsc_ordered();
#else
	return ktime_get_ns();
#endif
}

/* Memory that is physically contiguous and aligned, made of the allocator's largest blocks. */
struct block {
	struct page **parts;
	unsigned int n;
	phys_addr_t phys;
	size_t size;
};

int block_alloc(struct block *b, size_t size);
void block_free(struct block *b);

/* A paging domain that the device is attached to, so that unmap has caches to invalidate. */
struct iommu_domain *attach(struct device *dev);
void detach(struct iommu_domain *domain, struct device *dev);

int bench_clock(struct device *dev, const char *arg);
int bench_dma(struct device *dev, const char *arg);
int bench_iommu(struct device *dev, const char *arg);
int bench_iommu_2m(struct device *dev, const char *arg);
int bench_pages(struct device *dev, const char *arg);
int bench_shuffled(struct device *dev, const char *arg);
int bench_alloc(struct device *dev, const char *arg);
int bench_alloc_mapped(struct device *dev, const char *arg);
int bench_slab(struct device *dev, const char *arg);

#endif
