// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binds to QEMU's "edu" device, a PCI function behind the IOMMU, lets the threads run
 * for a time, and compares the sanitizer's figures before and after. The device itself
 * is never started. Loading the module fails if anything was not as it has to be.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "stress.h"

#define ERRORS_SHOWN	10

/* How much longer a run may take. */
#define LONGER		(60 * HZ)

static uint seconds = 10;
module_param(seconds, uint, 0444);
MODULE_PARM_DESC(seconds, "how long to run");

static uint bugs;
module_param(bugs, uint, 0444);
MODULE_PARM_DESC(bugs, "how many bugs to plant");

static bool over;
module_param(over, bool, 0444);
MODULE_PARM_DESC(over, "unmap leaves by asking for one page of them");

static bool whole;
module_param(whole, bool, 0444);
MODULE_PARM_DESC(whole, "unmap no parts and never map over a mapping: virtio-iommu cannot do that");

static unsigned long long seed = 1;
module_param(seed, ullong, 0444);
MODULE_PARM_DESC(seed, "what the threads' chances begin with");

static const char *const names[STRESS_EVENTS] = {
	[STRESS_ALLOC_BLOCK] = "alloc_block",
	[STRESS_ALLOC_HUGE] = "alloc_huge",
	[STRESS_MAP_DOMAIN] = "map_domain",
	[STRESS_MAP_DOMAIN_SG] = "map_domain_sg",
	[STRESS_MAP_HUGE] = "map_huge",
	[STRESS_MAP_DMA] = "map_dma",
	[STRESS_MAP_DMA_SG] = "map_dma_sg",
	[STRESS_MAP_AGAIN] = "map_again",
	[STRESS_MAP_FAILED] = "map_failed",
	[STRESS_UNMAP_WHOLE] = "unmap_whole",
	[STRESS_UNMAP_PIECES] = "unmap_pieces",
	[STRESS_UNMAP_PART] = "unmap_part",
	[STRESS_UNMAP_OVER] = "unmap_over",
	[STRESS_FREE_WHOLE] = "free_whole",
	[STRESS_FREE_HUGE] = "free_huge",
	[STRESS_FREE_SINGLE] = "free_single",
	[STRESS_EXCHANGED] = "exchanged",
};

/* The driver core swallows the result of probe(); loading the module must not. */
static int result = -ENODEV;

void stress_error(struct stress *st, const char *fmt, ...)
{
	struct va_format message = { .fmt = fmt };
	va_list args;

	if (atomic_inc_return(&st->errors) > ERRORS_SHOWN)
		return;
	va_start(args, fmt);
	message.va = &args;
	dev_err(st->dev, "stress: %pV\n", &message);
	va_end(args);
}

static bool is_wanted(struct stress *st, enum stress_event event)
{
	switch (event) {
	case STRESS_UNMAP_OVER:
		return st->over;
	case STRESS_UNMAP_PART:
	case STRESS_UNMAP_PIECES:
	case STRESS_MAP_FAILED:
		return !st->whole;
	default:
		return true;
	}
}

/* On a slow machine some are long in coming. */
static bool all_happened(struct stress *st)
{
	int i;

	for (i = 0; i < STRESS_EVENTS; i++)
		if (is_wanted(st, i) && !atomic_long_read(&st->events[i]))
			return false;
	return true;
}

static bool goes_on(struct stress *st)
{
	if (time_before(jiffies, st->start + msecs_to_jiffies(st->ms)))
		return true;
	return !all_happened(st) &&
	       time_before(jiffies, st->start + msecs_to_jiffies(st->ms) + LONGER);
}

static void run_threads(struct stress *st)
{
	struct stress_thread *threads;
	int i;

	threads = kzalloc_objs(*threads, STRESS_THREADS);
	if (!threads) {
		stress_error(st, "no memory for the threads");
		return;
	}

	st->start = jiffies;
	for (i = 0; i < STRESS_THREADS; i++) {
		threads[i].st = st;
		prandom_seed_state(&threads[i].rnd, seed * STRESS_THREADS + i);
		threads[i].task = kthread_run(stress_thread, &threads[i], "stress/%d", i);
		if (IS_ERR(threads[i].task))
			stress_error(st, "thread %d: %pe", i, threads[i].task);
	}

	while (goes_on(st))
		msleep(100);
	for (i = 0; i < STRESS_THREADS; i++)
		if (!IS_ERR(threads[i].task))
			kthread_stop(threads[i].task);
	stress_plant_rest(st);

	for (i = 0; i < STRESS_EXCHANGE; i++)
		if (st->exchange[i])
			stress_free(st, &threads[0].rnd, st->exchange[i]);
	kfree(threads);
}

/* A run that left something out is no test of it. */
static void judge_events(struct stress *st)
{
	long n;
	int i;

	dev_info(st->dev, "stress: %ld steps in %u ms, %d bugs planted\n",
		 atomic_long_read(&st->steps), st->ms, atomic_read(&st->planted));
	for (i = 0; i < STRESS_EVENTS; i++) {
		n = atomic_long_read(&st->events[i]);
		dev_info(st->dev, "stress: %s %ld\n", names[i], n);
		if (!n && is_wanted(st, i))
			stress_error(st, "%s never happened", names[i]);
	}
}

static void judge_stats(struct stress *st, struct stress_stats *before)
{
	struct stress_stats after = stress_stats();

	if (!before->valid || !after.valid) {
		dev_info(st->dev, "stress: no figures of the sanitizer to compare\n");
		return;
	}

	dev_info(st->dev, "stress: findings %ld, pages_mapped %ld to %ld, sum_of_counts %ld to %ld\n",
		 after.findings - before->findings, before->mapped, after.mapped, before->sum,
		 after.sum);
	if (after.findings - before->findings != st->bugs)
		stress_error(st, "%ld findings instead of %u", after.findings - before->findings,
			     st->bugs);
	if (after.continued != before->continued || after.turned_away != before->turned_away)
		stress_error(st, "findings continued %ld, turned away %ld",
			     after.continued, after.turned_away);
	if (after.sum != before->sum || after.mapped != before->mapped)
		stress_error(st, "counts are left");
	if (after.negative || after.reported)
		stress_error(st, "%ld pages have negative counts, %ld are reported",
			     after.negative, after.reported);
	if (!atomic_read(&st->errors))
		dev_info(st->dev, "stress: no count is left\n");
}

static int alloc_domains(struct stress *st)
{
	int i;

	for (i = 0; i < STRESS_DOMAINS; i++) {
		st->domains[i] = iommu_paging_domain_alloc(st->dev);
		if (IS_ERR(st->domains[i])) {
			int ret = PTR_ERR(st->domains[i]);

			st->domains[i] = NULL;
			return ret;
		}
	}
	return 0;
}

static int stress_run(struct stress *st)
{
	struct stress_stats before = stress_stats();
	int i, ret;

	spin_lock_init(&st->lock);
	ret = alloc_domains(st);
	if (!ret) {
		run_threads(st);
		judge_events(st);
	}
	for (i = 0; i < STRESS_DOMAINS; i++)
		if (st->domains[i])
			iommu_domain_free(st->domains[i]);
	if (!ret)
		judge_stats(st, &before);
	return ret ?: atomic_read(&st->errors) ? -EILSEQ : 0;
}

static int stress_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct stress *st;

	result = pcim_enable_device(pdev);
	if (!result)
		result = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(28));
	if (result)
		return result;

	st = kzalloc_obj(*st);
	if (!st)
		return result = -ENOMEM;
	st->dev = &pdev->dev;
	st->bugs = bugs;
	st->over = over;
	st->whole = whole;
	st->ms = clamp(seconds, 1U, 3600U) * 1000;
	result = stress_run(st);
	kfree(st);
	return result;
}

static const struct pci_device_id stress_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, stress_ids);

static struct pci_driver stress_driver = {
	.name = KBUILD_MODNAME,
	.id_table = stress_ids,
	.probe = stress_probe,
};

static int __init stress_init(void)
{
	int ret;

	/* Its windows of addresses are as large as they have to be for these. */
	if (PAGE_SIZE != SZ_4K) {
		pr_err("stress: made for pages of 4K\n");
		return -EOPNOTSUPP;
	}
	ret = pci_register_driver(&stress_driver);
	if (ret)
		return ret;
	if (result)
		pci_unregister_driver(&stress_driver);
	return result;
}
module_init(stress_init);

static void __exit stress_exit(void)
{
	pci_unregister_driver(&stress_driver);
}
module_exit(stress_exit);

MODULE_DESCRIPTION("Random correct use of DMA mappings, with bugs planted in it");
MODULE_LICENSE("GPL");
