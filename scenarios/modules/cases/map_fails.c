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
#define AGAIN	8

/* Fail single pages too, which is what tables are, and do not tell each time. */
#define SET_UP	"cd /sys/kernel/debug/fail_page_alloc && echo 0 >min-order && echo 0 >verbose"

/* Fails at the @nth page that is allocated; @left is how many fewer there were. */
static int map_until(struct iommu_domain *domain, struct page *pages, unsigned int nth,
		     unsigned int *left)
{
	int ret;

	/* Allocations that may wait do not fail on request. */
	current->fail_nth = nth;
	ret = iommu_map(domain, IOVA, page_to_phys(pages), SIZE, IOMMU_READ | IOMMU_WRITE,
			GFP_ATOMIC);
	*left = current->fail_nth;
	current->fail_nth = 0;
	return ret;
}

/*
 * One attempt, in a domain that has no tables yet. Returns 0 if nothing failed, and it was
 * unmapped again, or -ENOMEM. With @bug the last page is freed before the unmap, and the
 * others after it; @pages is NULL then.
 */
static int attempt(struct device *dev, struct page **pages, unsigned int nth, bool bug,
		   unsigned int *tables)
{
	struct iommu_domain *domain;
	unsigned int left;
	int i, ret;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	ret = map_until(domain, *pages, nth, &left);
	bug = bug && left;
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
	if (ret == -ENOMEM)
		(*tables)++;
	/* It was no table, but for instance a stack of page_owner's, which does without. */
	else if (!ret && !left)
		ret = -ENOMEM;

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
	unsigned int nth, before, tables = 0, again = 0;
	struct page *pages;
	int ret;

	if (shell(SET_UP))
		return -EOPNOTSUPP;
	pages = alloc_pages(GFP_KERNEL, ORDER);
	if (!pages)
		return -ENOMEM;

	for (nth = 1; nth <= MOST; nth++) {
		before = tables;
		ret = attempt(dev, &pages, nth, bug, &tables);
		if (ret != -ENOMEM)
			break;
		/* What failed instead of a table may not come again. */
		if (tables == before && again++ < AGAIN)
			nth--;
	}
	if (pages)
		__free_pages(pages, ORDER);

	dev_info(dev, "failed at %u tables, then: %d\n", tables, ret);
	/* Two levels below the topmost, and both sides of the border. */
	return ret ?: tables >= TABLES ? 0 : -ENODATA;
}
