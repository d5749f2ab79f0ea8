// SPDX-License-Identifier: GPL-2.0-only
/* alloc_pages() and __free_pages(), where the sanitizer has its checks. */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "bench.h"

#define IOVA ((unsigned long)SZ_1G)
#define PROT (IOMMU_READ | IOMMU_WRITE)
/* How much a heavily mapped machine has mapped; the pieces of free memory between. */
#define MAPPED SZ_512M
#define HOLE_ORDER 9

static int measure(const char *what, const char *arg)
{
	unsigned int order, i = 0;
	struct series s;
	struct page *page;
	u64 begun;
	int ret = kstrtouint(arg, 10, &order);

	if (ret || order > MAX_PAGE_ORDER)
		return -EINVAL;
	ret = series_init(&s);
	if (ret)
		return ret;
	while (!series_enough(&s, 3, 256)) {
		begun = now();
		page = alloc_pages(GFP_KERNEL, order);
		if (likely(page))
			__free_pages(page, order);
		if (i++ >= WARM_UP)
			series_add(&s, now() - begun);
		if (!page) {
			ret = -ENOMEM;
			break;
		}
		cond_resched();
	}
	if (!ret)
		report(what, arg, &s);
	series_free(&s);
	return ret;
}

int bench_alloc(struct device *dev, const char *arg)
{
	return measure("alloc", arg);
}

/* Large and small leaves by turns. */
static int map_one(struct iommu_domain *domain, unsigned int index, struct page *page)
{
	unsigned long iova = IOVA + index * (PAGE_SIZE << HOLE_ORDER);
	size_t size = index % 2 ? PAGE_SIZE : PAGE_SIZE << HOLE_ORDER;
	size_t at;
	int ret = 0;

	for (at = 0; !ret && at < PAGE_SIZE << HOLE_ORDER; at += size)
		ret = iommu_map(domain, iova + at, page_to_phys(page) + at, size, PROT,
				GFP_KERNEL);
	return ret;
}

/* Every other 2M of memory is mapped; what is allocated then comes from between. */
int bench_alloc_mapped(struct device *dev, const char *arg)
{
	const unsigned int n = MAPPED >> (PAGE_SHIFT + HOLE_ORDER);
	struct iommu_domain *domain;
	struct page **held;
	unsigned int i, taken;
	int ret = -ENOMEM;

	held = kvcalloc(2 * n, sizeof(*held), GFP_KERNEL);
	if (!held)
		return -ENOMEM;
	domain = attach(dev);
	if (IS_ERR(domain)) {
		kvfree(held);
		return PTR_ERR(domain);
	}
	for (taken = 0; taken < 2 * n; taken++) {
		held[taken] = alloc_pages(GFP_KERNEL | __GFP_NORETRY, HOLE_ORDER);
		if (!held[taken])
			goto out;
	}
	/* The allocator splits larger blocks: neighbours come one after the other. */
	for (i = 0; i < n; i++) {
		__free_pages(held[2 * i + 1], HOLE_ORDER);
		held[2 * i + 1] = NULL;
	}
	for (i = 0, ret = 0; !ret && i < n; i++)
		ret = map_one(domain, i, held[2 * i]);
	if (!ret)
		ret = measure("alloc_mapped", arg);
	iommu_unmap(domain, IOVA, MAPPED);
out:
	detach(domain, dev);
	for (i = 0; i < taken; i++)
		if (held[i])
			__free_pages(held[i], HOLE_ORDER);
	kvfree(held);
	return ret;
}
