// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu_map() that cannot get memory for its page tables: first for the first table it
 * needs, then for the second, and so on until it succeeds. What had been mapped until
 * then is taken back, so the pages are free to go. With @bug they are freed while the
 * successful map lasts.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "cases.h"

#define ORDER	get_order(SZ_4M)
#define SIZE	(PAGE_SIZE << ORDER)

/* Across a border of 1G, and with another offset than memory has: only 4K entries fit. */
#define IOVA	(SZ_1G - SZ_2M + PAGE_SIZE)

/* More tables than are needed. */
#define MOST	32

/* Fails at the @nth page that is allocated; 0 is never. */
static int map_until(struct iommu_domain *domain, struct page *pages, unsigned int nth)
{
	int ret;

	/* Allocations that may wait do not fail on request. */
	current->fail_nth = nth;
	ret = iommu_map(domain, IOVA, page_to_phys(pages), SIZE, IOMMU_READ | IOMMU_WRITE,
			GFP_ATOMIC);
	current->fail_nth = 0;
	return ret;
}

/* Fails at every table once; returns how many failures there were. */
static int map_and_fail(struct iommu_domain *domain, struct page **pages)
{
	unsigned int nth;
	int ret;

	for (nth = 1; nth < MOST; nth++) {
		ret = map_until(domain, *pages, nth);
		if (!ret)
			return nth - 1;
		if (ret != -ENOMEM || iommu_iova_to_phys(domain, IOVA))
			return -EDOM;
		/* A count that is left would be reported. */
		*pages = free_and_get_again(*pages, ORDER);
		if (!*pages)
			return -EAGAIN;
	}
	return -ERANGE;
}

int case_map_fails(struct device *dev, bool bug)
{
	struct iommu_domain *domain;
	struct page *pages;
	int failures;

	pages = alloc_pages(GFP_KERNEL, ORDER);
	if (!pages)
		return -ENOMEM;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain)) {
		__free_pages(pages, ORDER);
		return PTR_ERR(domain);
	}

	failures = map_and_fail(domain, &pages);
	dev_info(dev, "%d tables could not be allocated\n", failures);
	if (failures >= 0 && bug) {
		__free_pages(pages, ORDER);
		pages = NULL;
	}
	if (failures >= 0)
		iommu_unmap(domain, IOVA, SIZE);
	if (pages)
		__free_pages(pages, ORDER);
	iommu_domain_free(domain);

	/* Two levels, and both sides of the border. */
	if (failures < 0)
		return failures;
	return failures >= 4 ? 0 : -ENODATA;
}
