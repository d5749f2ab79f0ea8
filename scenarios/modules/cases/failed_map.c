// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu_map() that fails half way, because something is mapped there already. What it
 * had mapped until then is taken back, so its pages are free to go; not a bug. With
 * @bug the page that was in the way is freed before it is unmapped.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "cases.h"

#define IOVA SZ_1M
#define ORDER 2
#define PROT (IOMMU_READ | IOMMU_WRITE)

static int map_over(struct iommu_domain *domain, struct page *pages)
{
	int ret = iommu_map(domain, IOVA, page_to_phys(pages), PAGE_SIZE << ORDER, PROT,
			    GFP_KERNEL);

	if (ret)
		return 0;
	iommu_unmap(domain, IOVA, PAGE_SIZE << ORDER);
	return -EEXIST;
}

int case_failed_map(struct device *dev, bool bug)
{
	unsigned long taken = IOVA + 2 * PAGE_SIZE;
	struct iommu_domain *domain;
	struct page *page, *pages;
	int ret = -ENOMEM;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	page = alloc_page(GFP_KERNEL);
	pages = alloc_pages(GFP_KERNEL, ORDER);
	if (!page || !pages)
		goto out_free;

	ret = iommu_map(domain, taken, page_to_phys(page), PAGE_SIZE, PROT, GFP_KERNEL);
	if (ret)
		goto out_free;

	ret = map_over(domain, pages);
	if (bug) {
		__free_page(page);
		page = NULL;
	}
	iommu_unmap(domain, taken, PAGE_SIZE);

out_free:
	if (pages)
		__free_pages(pages, ORDER);
	if (page)
		__free_page(page);
	iommu_domain_free(domain);
	return ret;
}
