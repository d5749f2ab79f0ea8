// SPDX-License-Identifier: GPL-2.0-only
/* A 2M mapping that is left behind: one bug, whichever way its pages are freed. */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "cases.h"

#define ORDER 9
#define IOVA SZ_2M

static void free_all(struct page *page, bool one_by_one)
{
	int i;

	if (!one_by_one) {
		__free_pages(page, ORDER);
		return;
	}

	split_page(page, ORDER);
	for (i = 0; i < 1 << ORDER; i++)
		__free_page(page + i);
}

static int leak_2m(struct device *dev, bool bug, bool one_by_one)
{
	struct iommu_domain *domain;
	struct page *page;
	int ret = -ENOMEM;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	page = alloc_pages(GFP_KERNEL, ORDER);
	if (!page)
		goto out_domain;

	ret = iommu_map(domain, IOVA, page_to_phys(page), SZ_2M,
			IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (!ret && bug) {
		free_all(page, one_by_one);
		iommu_unmap(domain, IOVA, SZ_2M);
		goto out_domain;
	}
	if (!ret)
		iommu_unmap(domain, IOVA, SZ_2M);
	free_all(page, one_by_one);

out_domain:
	iommu_domain_free(domain);
	return ret;
}

int case_huge(struct device *dev, bool bug)
{
	return leak_2m(dev, bug, false);
}

int case_huge_pages(struct device *dev, bool bug)
{
	return leak_2m(dev, bug, true);
}
