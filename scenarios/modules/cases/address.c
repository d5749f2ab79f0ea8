// SPDX-License-Identifier: GPL-2.0-only
/*
 * Addresses at the ends of what there is: 0, the last page of the address space, and
 * physical addresses without memory. All of them may be mapped and unmapped.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/sizes.h>

#include "cases.h"

#define PROT		(IOMMU_READ | IOMMU_WRITE)

/* The last page that an address can name. */
#define LAST_PAGE	((unsigned long)-PAGE_SIZE)

/* Up to here there are pages that are not reserved. */
#define LOW_SIZE	(SZ_1M + SZ_256K)

/* More memory than any guest has, and less than an IOMMU can address. */
#define NO_MEMORY	(64ULL * SZ_1T)

static int map_and_unmap(struct iommu_domain *domain, unsigned long iova, phys_addr_t phys,
			 size_t size)
{
	int ret = iommu_map(domain, iova, phys, size, PROT, GFP_KERNEL);

	if (!ret && iommu_unmap(domain, iova, size) != size)
		ret = -EDOM;
	return ret;
}

/*
 * The reference counts the pages above address 0 down and not up. Count them up in it, so
 * that it does not report them for ever: it keeps pages counted whose domain is freed.
 */
static int repair_reference(struct device *dev)
{
	struct iommu_domain *domain;
	int ret;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	ret = iommu_map(domain, PAGE_SIZE, PAGE_SIZE, LOW_SIZE - PAGE_SIZE, PROT, GFP_KERNEL);
	iommu_domain_free(domain);
	return ret;
}

int case_address_zero(struct device *dev, bool bug)
{
	phys_addr_t phys = bug ? 0 : SZ_2M;
	struct iommu_domain *domain;
	struct page *page;
	int ret;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	ret = map_and_unmap(domain, phys, phys, LOW_SIZE);
	iommu_domain_free(domain);
	if (ret)
		return ret;

	/* Take one of these pages that is free, and give it back. */
	page = get_pages_in(PHYS_PFN(phys), PHYS_PFN(phys + LOW_SIZE) - 1, GFP_KERNEL | GFP_DMA,
			    0);
	if (page)
		__free_page(page);
	ret = bug ? repair_reference(dev) : 0;
	return page ? ret : -EAGAIN;
}

int case_last_address(struct device *dev, bool bug)
{
	unsigned long last = bug ? LAST_PAGE : LAST_PAGE - PAGE_SIZE;
	struct iommu_domain *domain;
	struct page *page;
	int ret = -ENOMEM;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	page = alloc_page(GFP_KERNEL);
	if (page)
		ret = map_and_unmap(domain, last, page_to_phys(page), PAGE_SIZE);
	if (!ret)
		ret = map_and_unmap(domain, SZ_1M, last, PAGE_SIZE);
	iommu_domain_free(domain);
	if (!page)
		return ret;

	page = free_and_get_again(page, 0);
	if (!page)
		return -EAGAIN;
	/* Not freed if the reference would report whoever had the page next. */
	if (!bug)
		__free_page(page);
	return ret;
}

/* With @bug unset the same sizes are mapped to memory. */
int case_no_memory(struct device *dev, bool bug)
{
	phys_addr_t regs = pci_resource_start(to_pci_dev(dev), 0);
	struct iommu_domain *domain;
	struct page *pages;
	int ret;

	pages = alloc_pages(GFP_KERNEL, get_order(SZ_1M));
	if (!pages)
		return -ENOMEM;
	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain)) {
		__free_pages(pages, get_order(SZ_1M));
		return PTR_ERR(domain);
	}

	ret = map_and_unmap(domain, SZ_4M, bug ? regs : page_to_phys(pages), SZ_1M);
	if (!ret)
		ret = map_and_unmap(domain, SZ_4M, bug ? NO_MEMORY : page_to_phys(pages), SZ_1M);

	iommu_domain_free(domain);
	__free_pages(pages, get_order(SZ_1M));
	return ret;
}
