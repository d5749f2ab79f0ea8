// SPDX-License-Identifier: GPL-2.0-only
/*
 * All CPUs unmap the same address at the same time: one of them does it, and the others
 * find nothing there. Without @bug only one tries.
 */
#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/processor.h>
#include <linux/sizes.h>
#include <linux/smp.h>
#include <linux/timex.h>

#include "cases.h"

#define IOVA	SZ_1M

/* How often they have to meet, and how long they may try: a guest's CPUs take turns. */
#define MEETINGS	20
#define PATIENCE	(30 * HZ)

struct race {
	struct iommu_domain *domain;
	atomic_t waiting;
	atomic_t bytes;
	cycles_t begin[NR_CPUS];
	cycles_t end[NR_CPUS];
};

static void unmap_together(void *arg)
{
	int cpu = smp_processor_id();
	struct race *race = arg;

	atomic_dec(&race->waiting);
	while (atomic_read(&race->waiting) > 0)
		cpu_relax();
	race->begin[cpu] = get_cycles();
	atomic_add(iommu_unmap(race->domain, IOVA, PAGE_SIZE), &race->bytes);
	race->end[cpu] = get_cycles();
}

/* Returns whether there was a time at which all CPUs were at it, or an error. */
static int one_round(struct race *race, struct page *page, bool all)
{
	cycles_t begun = 0, ended = ~(cycles_t)0;
	int cpu, ret;

	ret = iommu_map(race->domain, IOVA, page_to_phys(page), PAGE_SIZE,
			IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (ret)
		return ret;

	cpus_read_lock();
	atomic_set(&race->waiting, all ? num_online_cpus() : 1);
	atomic_set(&race->bytes, 0);
	on_each_cpu_mask(all ? cpu_online_mask : cpumask_of(cpumask_first(cpu_online_mask)),
			 unmap_together, race, true);
	for_each_online_cpu(cpu) {
		begun = max(begun, race->begin[cpu]);
		ended = min(ended, race->end[cpu]);
	}
	cpus_read_unlock();

	if (atomic_read(&race->bytes) != PAGE_SIZE)
		return -EDOM;
	return !all || begun < ended;
}

static int race_for(struct race *race, struct page *page, bool all)
{
	unsigned long end = jiffies + PATIENCE;
	int met = 0, ret;

	while (met < MEETINGS) {
		ret = one_round(race, page, all);
		if (ret < 0)
			return ret;
		met += ret;
		if (time_after(jiffies, end))
			return -ETIME;
	}
	return 0;
}

int case_race(struct device *dev, bool bug)
{
	static struct race race;
	struct page *page;
	int ret = -ENOMEM;

	race.domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(race.domain))
		return PTR_ERR(race.domain);

	page = alloc_page(GFP_KERNEL);
	if (page)
		ret = race_for(&race, page, bug);
	iommu_domain_free(race.domain);
	if (ret)
		return ret;

	page = free_and_get_again(page, 0);
	if (!page)
		return -EAGAIN;
	/* Not freed, see over_unmap.c. */
	if (!bug)
		__free_page(page);
	return 0;
}
