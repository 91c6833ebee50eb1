/* The time as Matrix counts it. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Ms since 1970. */
static inline gint64
cm_clock_ms (void)
{
  return g_get_real_time () / 1000;
}

G_END_DECLS
