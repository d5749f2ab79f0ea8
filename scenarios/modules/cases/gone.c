// SPDX-License-Identifier: GPL-2.0-only
/*
 * A paging domain that is freed with its mappings, as VFIO does if another domain has
 * the same memory: what was mapped there is reachable no longer, and may be freed. The
 * bug is to free it while the domain is still there.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "cases.h"

#define ORDER	get_order(SZ_2M)
#define PART	4	/* an order of neither a page nor a large leaf everywhere */

int case_gone(struct device *dev, bool bug)
{
	struct iommu_domain *domain;
	struct page *page, *part, *huge;
	int ret = -ENOMEM;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	page = alloc_page(GFP_KERNEL);
	part = alloc_pages(GFP_KERNEL, PART);
	huge = alloc_pages(GFP_KERNEL, ORDER);
	if (!page || !part || !huge)
		goto out;

	ret = iommu_map(domain, SZ_1M, page_to_phys(page), PAGE_SIZE,
			IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (!ret)
		ret = iommu_map(domain, SZ_2M, page_to_phys(huge), SZ_2M,
				IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (!ret)
		ret = iommu_map(domain, SZ_4M, page_to_phys(part), PAGE_SIZE << PART,
				IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (!ret && bug) {
		__free_page(page);
		page = NULL;
	}
out:
	iommu_domain_free(domain);
	if (huge)
		__free_pages(huge, ORDER);
	if (part)
		__free_pages(part, PART);
	if (page)
		__free_page(page);
	return ret;
}

/* One page only, which is used as before once the domain is gone. No bug either way. */
int case_gone_reused(struct device *dev, bool bug)
{
	struct iommu_domain *domain;
	struct page *page;
	int ret;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	page = alloc_page(GFP_KERNEL);
	if (!page) {
		iommu_domain_free(domain);
		return -ENOMEM;
	}

	ret = iommu_map(domain, SZ_1M, page_to_phys(page), PAGE_SIZE,
			IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (!ret && !bug && iommu_unmap(domain, SZ_1M, PAGE_SIZE) != PAGE_SIZE)
		ret = -EDOM;
	iommu_domain_free(domain);

	/* Not freed, see over_unmap.c. */
	page = free_and_get_again(page, 0);
	return page ? ret : -EAGAIN;
}
