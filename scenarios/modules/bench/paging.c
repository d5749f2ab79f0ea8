// SPDX-License-Identifier: GPL-2.0-only
/* iommu_map() and iommu_unmap() of large ranges: in the largest leaves, and page by page. */
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "bench.h"

#define IOVA ((unsigned long)SZ_1G)
#define PROT (IOMMU_READ | IOMMU_WRITE)

struct iommu_domain *attach(struct device *dev)
{
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);
	int ret;

	if (IS_ERR(domain))
		return domain;
	ret = iommu_attach_device(domain, dev);
	if (ret) {
		iommu_domain_free(domain);
		return ERR_PTR(ret);
	}
	return domain;
}

void detach(struct iommu_domain *domain, struct device *dev)
{
	iommu_detach_device(domain, dev);
	iommu_domain_free(domain);
}

/* What is measured, and where its figures go. */
struct job {
	struct iommu_domain *domain;
	unsigned long iova;
	struct block block;
	struct series map, unmap;
};

typedef int (*measure_t)(struct job *job);

static int timed_map(struct job *job, unsigned long iova, phys_addr_t phys, size_t size)
{
	u64 begun = now();
	int ret = iommu_map(job->domain, iova, phys, size, PROT, GFP_KERNEL);

	series_add(&job->map, now() - begun);
	return ret;
}

static int timed_unmap(struct job *job)
{
	u64 begun = now();
	size_t done = iommu_unmap(job->domain, job->iova, job->block.size);

	series_add(&job->unmap, now() - begun);
	return done == job->block.size ? 0 : -EFAULT;
}

static int at_once(struct job *job)
{
	int ret;

	while (!series_enough(&job->map, 3, 64)) {
		ret = timed_map(job, job->iova, job->block.phys, job->block.size);
		if (!ret)
			ret = timed_unmap(job);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/* A permutation of [0, n), n a power of two, that leaves few neighbours together. */
static unsigned long scatter(unsigned long i, unsigned long n)
{
	i = (i * 0x9e3779b1) & (n - 1);
	i ^= i >> 7;
	return (i * 0x85ebca6b) & (n - 1);
}

static int map_pages(struct job *job, bool shuffled)
{
	unsigned long i, from, n = job->block.size >> PAGE_SHIFT;
	int ret;

	for (i = 0; i < n; i++) {
		from = shuffled ? scatter(i, n) : i;
		ret = timed_map(job, job->iova + (i << PAGE_SHIFT),
				job->block.phys + (from << PAGE_SHIFT), PAGE_SIZE);
		if (ret) {
			iommu_unmap(job->domain, job->iova, i << PAGE_SHIFT);
			return ret;
		}
		cond_resched();
	}
	return timed_unmap(job);
}

static int page_by_page(struct job *job)
{
	int ret = map_pages(job, false);

	return ret ?: map_pages(job, false);
}

static int page_by_page_shuffled(struct job *job)
{
	int ret = map_pages(job, true);

	return ret ?: map_pages(job, true);
}

static int bench(struct device *dev, const char *what, const char *arg, measure_t measure,
		 unsigned long iova)
{
	size_t size = memparse(arg, NULL);
	struct job job = { .iova = iova };
	char name[2][32];
	int ret;

	if (!is_power_of_2(size) || size < PAGE_SIZE)
		return -EINVAL;
	ret = block_alloc(&job.block, size);
	if (ret)
		return ret;
	job.domain = attach(dev);
	ret = PTR_ERR_OR_ZERO(job.domain);
	if (ret)
		goto out_block;
	ret = series_init_two(&job.map, &job.unmap);
	if (ret)
		goto out_domain;

	ret = measure(&job);
	if (!ret) {
		snprintf(name[0], sizeof(name[0]), "%s_map", what);
		snprintf(name[1], sizeof(name[1]), "%s_unmap", what);
		report(name[0], arg, &job.map);
		report(name[1], arg, &job.unmap);
	}
	series_free_two(&job.map, &job.unmap);
out_domain:
	detach(job.domain, dev);
out_block:
	block_free(&job.block);
	return ret;
}

int bench_iommu(struct device *dev, const char *arg)
{
	return bench(dev, "iommu", arg, at_once, IOVA);
}

/* Where address and memory are not aligned alike, leaves of 1G are not possible. */
int bench_iommu_2m(struct device *dev, const char *arg)
{
	return bench(dev, "iommu_2m", arg, at_once, IOVA + SZ_2M);
}

int bench_pages(struct device *dev, const char *arg)
{
	return bench(dev, "pages", arg, page_by_page, IOVA);
}

int bench_shuffled(struct device *dev, const char *arg)
{
	return bench(dev, "shuffled", arg, page_by_page_shuffled, IOVA);
}
