// SPDX-License-Identifier: GPL-2.0-only
/*
 * An unmap that removes more than it was asked for: the first page of an entry takes
 * the rest of the entry with it. 2M are one entry of a page table; a virtio-iommu has
 * an entry for each call of iommu_map(). Everything is unmapped afterwards, so this is
 * no bug. Without @bug as much is unmapped as was mapped.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "cases.h"

#define IOVA	SZ_4M

static int unmap_first(struct device *dev, struct page *page, unsigned int order, size_t asked)
{
	size_t size = PAGE_SIZE << order;
	struct iommu_domain *domain;
	int ret;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	/* VT-d of old kernels knows only then that there are entries of 2M. */
	ret = iommu_attach_device(domain, dev);
	if (ret)
		goto out_domain;

	ret = iommu_map(domain, IOVA, page_to_phys(page), size, IOMMU_READ | IOMMU_WRITE,
			GFP_KERNEL);
	if (!ret && iommu_unmap(domain, IOVA, asked) != size)
		ret = -EDOM;
	iommu_detach_device(domain, dev);

out_domain:
	iommu_domain_free(domain);
	return ret;
}

static int over_unmap(struct device *dev, bool bug, unsigned int order)
{
	struct page *page;
	int ret;

	page = alloc_pages(GFP_KERNEL, order);
	if (!page)
		return -ENOMEM;

	ret = unmap_first(dev, page, order, bug ? PAGE_SIZE : PAGE_SIZE << order);
	if (ret)
		goto out_free;

	page = free_and_get_again(page, order);
	if (!page)
		return -EAGAIN;
	/* Not freed: whoever had the page next would be reported by the reference. */
	if (bug)
		return 0;

out_free:
	__free_pages(page, order);
	return ret;
}

int case_over_unmap(struct device *dev, bool bug)
{
	return over_unmap(dev, bug, get_order(SZ_2M));
}

int case_over_unmap_16k(struct device *dev, bool bug)
{
	return over_unmap(dev, bug, get_order(SZ_16K));
}
