/* SPDX-License-Identifier: BSD-3-Clause */
#include "drop.h"

const char *drop_name(enum drop_reason reason)
{
	static const char *const name[] = { "none",
#define DROP_NAME(n, text) #n,
					    DROP_REASONS(DROP_NAME)
#undef DROP_NAME
	};

	return reason < DROP_COUNT ? name[reason] : "unknown";
}

const char *drop_text(enum drop_reason reason)
{
	static const char *const text[] = { "not dropped",
#define DROP_TEXT(n, t) t,
					    DROP_REASONS(DROP_TEXT)
#undef DROP_TEXT
	};

	return reason < DROP_COUNT ? text[reason] : "unknown";
}
