// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plays and records at the same time by way of OSS, which a shell cannot tell how fast, and prints how many bytes
 * that were: pcm RATE SECONDS.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/soundcard.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_dsp(int flags, int rate)
{
	int fd = open("/dev/dsp", flags);
	int format = AFMT_S16_LE, channels = 2, got = rate;

	if (fd < 0) {
		perror("/dev/dsp");
		exit(1);
	}
	if (ioctl(fd, SNDCTL_DSP_SETFMT, &format) || ioctl(fd, SNDCTL_DSP_CHANNELS, &channels) ||
	    ioctl(fd, SNDCTL_DSP_SPEED, &got) || format != AFMT_S16_LE || channels != 2) {
		perror("/dev/dsp does not take 16 bits, stereo");
		exit(1);
	}
	if (got < rate - rate / 100 || got > rate + rate / 100) {
		fprintf(stderr, "/dev/dsp takes a rate of %d, not %d\n", got, rate);
		exit(1);
	}
	return fd;
}

/* Moves that many bytes; a device that stands still is ended by a signal. */
static void move(int play, int rate, long bytes)
{
	int fd = open_dsp(play ? O_WRONLY : O_RDONLY, rate);
	static char buffer[16 << 10];
	unsigned int random = 1;
	long n;

	alarm(60);
	while (bytes > 0) {
		for (n = 0; play && n < (long)sizeof(buffer); n++)
			buffer[n] = random = random * 1664525 + 1013904223;
		n = play ? write(fd, buffer, sizeof(buffer)) : read(fd, buffer, sizeof(buffer));
		if (n <= 0) {
			perror(play ? "cannot play" : "cannot record");
			exit(1);
		}
		bytes -= n;
	}
	close(fd);
}

int main(int argc, char **argv)
{
	int rate, status;
	long bytes;

	if (argc != 3)
		return 2;
	rate = atoi(argv[1]);
	bytes = 4L * rate * atoi(argv[2]);
	if (fork() == 0) {
		move(0, rate, bytes);
		return 0;
	}
	move(1, rate, bytes);
	if (wait(&status) < 0 || status)
		return 1;
	printf("%ld\n", 2 * bytes);
	return 0;
}
