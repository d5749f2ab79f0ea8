// SPDX-License-Identifier: GPL-2.0-only
/* Has a network interface take packets in one piece only: linear NAME. */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int ask(int fd, const char *name, struct ethtool_value *value)
{
	struct ifreq request = { .ifr_data = (void *)value };

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(fd, SIOCETHTOOL, &request);
}

int main(int argc, char **argv)
{
	struct ethtool_value set = { .cmd = ETHTOOL_SSG }, get = { .cmd = ETHTOOL_GSG };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc != 2) {
		fprintf(stderr, "usage: linear NAME\n");
		return 2;
	}
	if (fd < 0 || ask(fd, argv[1], &set) || ask(fd, argv[1], &get)) {
		perror(argv[1]);
		return 1;
	}
	if (get.data) {
		fprintf(stderr, "%s goes on with scatter-gather\n", argv[1]);
		return 1;
	}
	return 0;
}
