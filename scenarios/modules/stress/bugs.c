// SPDX-License-Identifier: GPL-2.0-only
/*
 * Planted bugs: pages that are freed while they are mapped, each for as short as it
 * can be. The pages are taken back at once where they can be, and unmapped in either
 * case, so that nobody else has to do with them.
 *
 * One at a time: the sanitizer prints one report at a time, and which is printed is
 * what the test is about.
 */
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/sizes.h>

#include "stress.h"

#define BUG_ORDER	3
#define BUG_IOVA	SZ_1M
#define PROT		(IOMMU_READ | IOMMU_WRITE)

static DEFINE_MUTEX(planting);

/* Free them, and get the same ones again: this CPU has them at hand. */
static noinline struct page *stress_free_mapped(struct page *page, unsigned int order)
{
	struct page *again;

	__free_pages(page, order);
	again = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, order);
	if (again && again != page) {
		__free_pages(again, order);
		again = NULL;
	}
	return again;
}

/* A page that the DMA API has mapped. */
static noinline int stress_bug_page(struct stress *st)
{
	struct page *page = alloc_page(GFP_KERNEL);
	dma_addr_t dma;

	if (!page)
		return -ENOMEM;
	dma = dma_map_page(st->dev, page, 0, PAGE_SIZE, DMA_FROM_DEVICE);
	if (dma_mapping_error(st->dev, dma)) {
		__free_page(page);
		return -EIO;
	}

	preempt_disable();
	page = stress_free_mapped(page, 0);
	dma_unmap_page(st->dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
	preempt_enable();
	if (page)
		__free_page(page);
	return 0;
}

/* By one call, or page by page, so that any part can be unmapped. */
static int map_pages(struct stress *st, struct page *pages, size_t size)
{
	size_t at, piece = st->whole ? PAGE_SIZE : size;
	int ret;

	for (at = 0; at < size; at += piece) {
		ret = iommu_map(st->domains[0], BUG_IOVA + at, page_to_phys(pages) + at, piece,
				PROT, GFP_KERNEL);
		if (ret) {
			iommu_unmap(st->domains[0], BUG_IOVA, at);
			return ret;
		}
	}
	return 0;
}

/* Pages that are mapped, and all but page @left of them unmapped. */
static noinline int stress_bug_part(struct stress *st, unsigned int order, unsigned int left)
{
	struct page *pages = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);
	struct iommu_domain *domain = st->domains[0];
	size_t before = left * PAGE_SIZE, size = PAGE_SIZE << order;
	size_t after = before + PAGE_SIZE;
	int ret;

	if (!pages)
		return -ENOMEM;
	ret = map_pages(st, pages, size);
	if (ret) {
		__free_pages(pages, order);
		return ret;
	}

	if (before)
		iommu_unmap(domain, BUG_IOVA, before);
	if (after < size)
		iommu_unmap(domain, BUG_IOVA + after, size - after);
	preempt_disable();
	pages = stress_free_mapped(pages, order);
	iommu_unmap(domain, BUG_IOVA + before, PAGE_SIZE);
	preempt_enable();
	if (pages)
		__free_pages(pages, order);
	return 0;
}

/* Half of the bugs are of the one kind, then half of the other. */
static void plant(struct stress *st)
{
	unsigned int n = atomic_read(&st->planted);
	int ret;

	if (n < st->bugs / 2)
		ret = stress_bug_page(st);
	else
		ret = stress_bug_part(st, BUG_ORDER, n % (1 << BUG_ORDER));

	if (ret)
		stress_error(st, "bug %u could not be planted: %d", n, ret);
	atomic_inc(&st->planted);
}

/* Spread them over the run, and over the threads. */
void stress_plant_due(struct stress *st)
{
	unsigned int due;

	if (!st->bugs)
		return;
	due = min(st->bugs, st->bugs * jiffies_to_msecs(jiffies - st->start) / st->ms);
	if (atomic_read(&st->planted) >= due || !mutex_trylock(&planting))
		return;
	if (atomic_read(&st->planted) < due)
		plant(st);
	mutex_unlock(&planting);
}

void stress_plant_rest(struct stress *st)
{
	guard(mutex)(&planting);
	while (atomic_read(&st->planted) < st->bugs)
		plant(st);
}
