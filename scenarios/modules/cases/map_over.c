// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu_map() where something is mapped already: page tables of old kernels put the new
 * mapping in its place and say nothing. What was there is reachable no longer, and may
 * be freed. With @bug what is there now is freed before it is unmapped.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "cases.h"

#define PROT (IOMMU_READ | IOMMU_WRITE)

static int map(struct iommu_domain *domain, unsigned long iova, struct page *page, size_t size)
{
	return iommu_map(domain, iova, page_to_phys(page), size, PROT, GFP_KERNEL);
}

static int map_page_by_page(struct iommu_domain *domain, unsigned long iova, struct page *page,
			    size_t size)
{
	unsigned long at;
	int ret = 0;

	for (at = 0; !ret && at < size; at += PAGE_SIZE)
		ret = map(domain, iova + at, page + at / PAGE_SIZE, PAGE_SIZE);
	return ret;
}

static int unmap(struct iommu_domain *domain, unsigned long iova, size_t size)
{
	return iommu_unmap(domain, iova, size) == size ? 0 : -EDOM;
}

/* The later of two mappings has to be there, alone. */
static int is_mapped(struct iommu_domain *domain, unsigned long iova, struct page *page)
{
	return iommu_iova_to_phys(domain, iova) == page_to_phys(page) ? 0 : -EEXIST;
}

/* A leaf of 2M where 512 pages are mapped. */
int case_map_over(struct device *dev, bool bug)
{
	unsigned int order = get_order(SZ_2M);
	struct page *below, *above;
	struct iommu_domain *domain;
	int ret = -ENOMEM;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	below = alloc_pages(GFP_KERNEL, order);
	above = alloc_pages(GFP_KERNEL, order);
	if (!below || !above)
		goto out;

	/* Old VT-d drivers know of large leaves only in a domain that has a device. */
	ret = iommu_attach_device(domain, dev);
	if (ret)
		goto out;
	ret = map_page_by_page(domain, SZ_2M, below, SZ_2M);
	if (!ret)
		ret = map(domain, SZ_2M, above, SZ_2M);
	if (!ret)
		ret = is_mapped(domain, SZ_2M, above);
	if (ret)
		goto out_detach;

	__free_pages(below, order);
	below = NULL;
	if (bug) {
		__free_pages(above, order);
		above = NULL;
	}
	ret = unmap(domain, SZ_2M, SZ_2M);
out_detach:
	iommu_detach_device(domain, dev);
out:
	iommu_domain_free(domain);
	if (above)
		__free_pages(above, order);
	if (below)
		__free_pages(below, order);
	return ret;
}

/* Leaves of 64K and 4M are several entries of a table, of which one can be replaced. */
#define SERIES	SZ_1M
#define TABLE	SZ_2M
#define LARGE	SZ_4M

static int map_over_parts(struct iommu_domain *domain, struct page *small, struct page *series,
			  struct page *page, struct page *huge)
{
	int ret;

	/* A series of entries over pages, and a page over one of the series. */
	ret = map_page_by_page(domain, SERIES, small, SZ_64K);
	if (!ret)
		ret = map(domain, SERIES, series, SZ_64K);
	if (!ret)
		ret = map(domain, SERIES + 5 * PAGE_SIZE, page, PAGE_SIZE);
	if (!ret)
		ret = is_mapped(domain, SERIES + 5 * PAGE_SIZE, page);

	/* A table over a leaf, and over a series of them. */
	if (!ret)
		ret = map(domain, TABLE, huge, SZ_2M);
	if (!ret)
		ret = map(domain, TABLE + 7 * PAGE_SIZE, page, PAGE_SIZE);
	if (!ret)
		ret = map(domain, LARGE, huge, SZ_4M);
	if (!ret)
		ret = map(domain, LARGE + 9 * PAGE_SIZE, page, PAGE_SIZE);
	return ret;
}

int case_map_over_parts(struct device *dev, bool bug)
{
	struct page *small, *series, *page, *huge;
	struct iommu_domain *domain;
	int ret = -ENOMEM;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	small = alloc_pages(GFP_KERNEL, get_order(SZ_64K));
	series = alloc_pages(GFP_KERNEL, get_order(SZ_64K));
	page = alloc_page(GFP_KERNEL);
	huge = alloc_pages(GFP_KERNEL, get_order(SZ_4M));
	if (!small || !series || !page || !huge)
		goto out;

	ret = map_over_parts(domain, small, series, page, huge);
	if (ret)
		goto out;

	__free_pages(small, get_order(SZ_64K));
	small = NULL;
	__free_pages(huge, get_order(SZ_4M));
	huge = NULL;
	if (bug) {
		/* All of it is still mapped, but for one page of it. */
		__free_pages(series, get_order(SZ_64K));
		series = NULL;
	}
	ret = unmap(domain, SERIES, SZ_64K);
	if (!ret)
		ret = unmap(domain, TABLE + 7 * PAGE_SIZE, PAGE_SIZE);
	if (!ret)
		ret = unmap(domain, LARGE + 9 * PAGE_SIZE, PAGE_SIZE);
out:
	iommu_domain_free(domain);
	if (small)
		__free_pages(small, get_order(SZ_64K));
	if (series)
		__free_pages(series, get_order(SZ_64K));
	if (page)
		__free_page(page);
	if (huge)
		__free_pages(huge, get_order(SZ_4M));
	return ret;
}
