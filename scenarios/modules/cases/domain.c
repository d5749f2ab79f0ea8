// SPDX-License-Identifier: GPL-2.0-only
/* A page mapped with iommu_map() in a paging domain of the driver's own. */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "cases.h"

#define IOVA SZ_1M

int case_domain(struct device *dev, bool bug)
{
	struct iommu_domain *domain;
	struct page *page;
	int ret = -ENOMEM;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	page = alloc_page(GFP_KERNEL);
	if (!page)
		goto out_domain;

	ret = iommu_map(domain, IOVA, page_to_phys(page), PAGE_SIZE,
			IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (!ret && bug) {
		__free_page(page);
		iommu_unmap(domain, IOVA, PAGE_SIZE);
		goto out_domain;
	}
	if (!ret)
		iommu_unmap(domain, IOVA, PAGE_SIZE);
	__free_page(page);

out_domain:
	iommu_domain_free(domain);
	return ret;
}
