// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu_map() that fails half way, because something is mapped there already. What it
 * had mapped until then is taken back, so its pages are free to go; not a bug. With
 * @bug the page that was in the way is freed before it is unmapped.
 *
 * VT-d of old kernels warns and says that it has mapped, but leaves there what was in
 * the way. What it has really mapped is taken back here.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "cases.h"

#define IOVA SZ_1M
#define ORDER 2
#define TAKEN (IOVA + 2 * PAGE_SIZE)
#define PROT (IOMMU_READ | IOMMU_WRITE)

/* Whatever iommu_map() says, the page that is in the way has to stay mapped, alone. */
static int map_over(struct iommu_domain *domain, struct page *pages, struct page *page)
{
	int i, ret;

	ret = iommu_map(domain, IOVA, page_to_phys(pages), PAGE_SIZE << ORDER, PROT,
			GFP_KERNEL);
	for (i = 0; !ret && i < 1 << ORDER; i++)
		if (IOVA + i * PAGE_SIZE != TAKEN)
			iommu_unmap(domain, IOVA + i * PAGE_SIZE, PAGE_SIZE);
	return iommu_iova_to_phys(domain, TAKEN) == page_to_phys(page) ? 0 : -EEXIST;
}

int case_failed_map(struct device *dev, bool bug)
{
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

	ret = iommu_map(domain, TAKEN, page_to_phys(page), PAGE_SIZE, PROT, GFP_KERNEL);
	if (ret)
		goto out_free;

	ret = map_over(domain, pages, page);
	if (bug) {
		__free_page(page);
		page = NULL;
	}
	iommu_unmap(domain, TAKEN, PAGE_SIZE);

out_free:
	if (pages)
		__free_pages(pages, ORDER);
	if (page)
		__free_page(page);
	iommu_domain_free(domain);
	return ret;
}
