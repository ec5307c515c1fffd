/* SPDX-License-Identifier: BSD-3-Clause */
/* A folder for a program of control's, removed when the program ends by itself. */
#ifndef KAIDO_FUZZ_SCRATCH_H
#define KAIDO_FUZZ_SCRATCH_H

struct scratch {
	char folder[64];
	char master_key[96]; /* a file with a master key that is always the same */
	char state[96];
	char socket[96];
	char dataplane[96]; /* nobody listens there */
};

/* In $TMPDIR or /tmp. Once a process. */
void scratch_make(struct scratch *scratch);
/* The state folder, with what is in it. */
void scratch_state_remove(const struct scratch *scratch);

#endif /* KAIDO_FUZZ_SCRATCH_H */
