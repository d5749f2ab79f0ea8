// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu_map() that cannot get memory for its page tables: first for the first table it
 * needs, then for the second, and so on until it succeeds. What had been mapped until
 * then is taken back, so the pages are free to go. With @bug the last of them is freed
 * while the successful map lasts.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/version.h>

#include "cases.h"

#define ORDER	get_order(SZ_4M)
#define SIZE	(PAGE_SIZE << ORDER)
#define PAGES	BIT(ORDER)

/* Across a border of 1G, and with another offset than memory has: only 4K entries fit. */
#define IOVA	(SZ_1G - SZ_2M + PAGE_SIZE)

/* Tables that this needs at least, and more than it needs. */
#define TABLES	5
#define MOST	32

/* Fail single pages too, which is what tables are, and do not tell each time. */
#define SET_UP	"cd /sys/kernel/debug/fail_page_alloc && echo 0 >min-order && echo 0 >verbose"

/* Fails at the @nth page that is allocated. */
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

/*
 * One attempt, in a domain that has no tables yet. Returns 0 if it succeeded, and was
 * unmapped again. With @bug the last page is freed before that, and the others after
 * it; @pages is NULL then.
 */
static int attempt(struct device *dev, struct page **pages, unsigned int nth, bool bug)
{
	struct iommu_domain *domain;
	int i, ret;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	ret = map_until(domain, *pages, nth);
	if (!ret && bug) {
		split_page(*pages, ORDER);
		__free_page(*pages + PAGES - 1);
	}
	if (!ret && iommu_unmap(domain, IOVA, SIZE) != SIZE)
		ret = -EDOM;
	if (!ret && bug) {
		for (i = 0; i < PAGES - 1; i++)
			__free_page(*pages + i);
		*pages = NULL;
	}
	/* VT-d of old kernels leaves it mapped. */
	if (ret && iommu_iova_to_phys(domain, IOVA) &&
	    LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0))
		ret = -EDOM;

	/* A count that is left would be reported. */
	if (ret == -ENOMEM) {
		*pages = free_and_get_again(*pages, ORDER);
		ret = *pages ? -ENOMEM : -EAGAIN;
	}
	iommu_domain_free(domain);
	return ret;
}

int case_map_fails(struct device *dev, bool bug)
{
	struct page *pages;
	unsigned int nth;
	int ret;

	if (shell(SET_UP))
		return -EOPNOTSUPP;
	pages = alloc_pages(GFP_KERNEL, ORDER);
	if (!pages)
		return -ENOMEM;

	for (nth = 1; nth <= MOST; nth++) {
		ret = attempt(dev, &pages, nth, bug);
		if (ret != -ENOMEM)
			break;
	}
	if (pages)
		__free_pages(pages, ORDER);

	dev_info(dev, "failed at %u tables, then: %d\n", nth - 1, ret);
	/* Two levels below the topmost, and both sides of the border. */
	return ret ?: nth - 1 >= TABLES ? 0 : -ENODATA;
}
