// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binds to QEMU's "edu" device, a PCI function behind the IOMMU, and measures what
 * tests= names: a list of KIND/ARGUMENT. For each series of calls there is one line in
 * the kernel log:
 *
 *   dmasan-bench: NAME/ARGUMENT calls N total T min T median T max T
 *
 * Times are cycles of the time stamp counter. With QEMU's -icount shift=0 that is the number
 * of instructions executed; what taking the time adds is told by the test clock/0.
 */
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/string.h>

#include "bench.h"

#ifdef CONFIG_X86
#include <asm/tsc.h>
#define CLOCK_KHZ tsc_khz
#else
#define CLOCK_KHZ 1000000
#endif

#define TESTS_MAX 64

static char *tests[TESTS_MAX];
static int tests_n;
module_param_array(tests, charp, &tests_n, 0444);
MODULE_PARM_DESC(tests, "what to measure: dma/SIZE, iommu/SIZE, iommu_2m/SIZE, pages/SIZE, shuffled/SIZE, alloc/ORDER, alloc_mapped/ORDER, slab/BYTES, clock/0");

static const struct {
	const char *name;
	int (*run)(struct device *dev, const char *arg);
} kinds[] = {
	{ "clock", bench_clock },
	{ "dma", bench_dma },
	{ "iommu", bench_iommu },
	{ "iommu_2m", bench_iommu_2m },
	{ "pages", bench_pages },
	{ "shuffled", bench_shuffled },
	{ "alloc", bench_alloc },
	{ "alloc_mapped", bench_alloc_mapped },
	{ "slab", bench_slab },
};

/* The driver core swallows the result of probe(); loading the module must not. */
static int result = -ENODEV;

static int run_one(struct device *dev, const char *test)
{
	const char *arg = strchr(test, '/');
	size_t len = arg ? arg - test : 0;
	int i;

	for (i = 0; arg && i < ARRAY_SIZE(kinds); i++)
		if (strlen(kinds[i].name) == len && !strncmp(test, kinds[i].name, len))
			return kinds[i].run(dev, arg + 1);

	return -EINVAL;
}

static int run_all(struct device *dev)
{
	int i, ret = 0;

	pr_info("dmasan-bench: clock_khz %u\n", (unsigned int)CLOCK_KHZ);
	for (i = 0; !ret && i < tests_n; i++) {
		ret = run_one(dev, tests[i]);
		if (ret)
			dev_err(dev, "test \"%s\" failed: %d\n", tests[i], ret);
	}
	return ret;
}

static int bench_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	result = pcim_enable_device(pdev);
	if (!result)
		result = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(32));
	if (!result)
		result = run_all(&pdev->dev);
	return result;
}

static const struct pci_device_id bench_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, bench_ids);

static struct pci_driver bench_driver = {
	.name = KBUILD_MODNAME,
	.id_table = bench_ids,
	.probe = bench_probe,
};

static int __init bench_init(void)
{
	int ret = pci_register_driver(&bench_driver);

	if (ret)
		return ret;
	if (result)
		pci_unregister_driver(&bench_driver);
	return result;
}
module_init(bench_init);

static void __exit bench_exit(void)
{
	pci_unregister_driver(&bench_driver);
}
module_exit(bench_exit);

MODULE_DESCRIPTION("Measures what mapping and allocating cost");
MODULE_LICENSE("GPL");
