// SPDX-License-Identifier: GPL-2.0-only
/*
 * An unmap over a hole that fails although it has begun: virtio-iommu forgets the entry
 * before the hole, but does not tell the device, for which the page stays mapped. The
 * bug is to free that page. Without @bug it is freed once the domain is gone, and with
 * it the mapping.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "cases.h"

#define IOVA	SZ_1M
#define BEHIND	(IOVA + 2 * PAGE_SIZE)

static int map_one(struct iommu_domain *domain, unsigned long iova, struct page *page)
{
	return iommu_map(domain, iova, page_to_phys(page), PAGE_SIZE,
			 IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
}

static int unmap_over_hole(struct iommu_domain *domain, struct page *first, struct page *last)
{
	int ret;

	ret = map_one(domain, IOVA, first);
	if (ret)
		return ret;
	ret = map_one(domain, BEHIND, last);
	if (!ret && iommu_unmap(domain, IOVA, 3 * PAGE_SIZE))
		ret = -EDOM;
	if (iommu_unmap(domain, BEHIND, PAGE_SIZE) != PAGE_SIZE)
		ret = ret ?: -EDOM;
	return ret;
}

int case_unmap_hole(struct device *dev, bool bug)
{
	struct iommu_domain *domain;
	struct page *first, *last;
	int ret = -ENOMEM;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	first = alloc_page(GFP_KERNEL);
	last = alloc_page(GFP_KERNEL);
	if (!first || !last)
		goto out_domain;

	/* A domain that no device has is not known to the other side. */
	ret = iommu_attach_device(domain, dev);
	if (ret)
		goto out_domain;

	ret = unmap_over_hole(domain, first, last);
	if (!ret && bug) {
		__free_page(first);
		first = NULL;
	}
	iommu_detach_device(domain, dev);

out_domain:
	iommu_domain_free(domain);
	if (last)
		__free_page(last);
	if (first)
		__free_page(first);
	return ret;
}
