/* A hierarchical timer wheel: adding, cancelling and expiring cost the same however many timers
 * wait, so that one for each of 50,000 held calls is nothing. One thread runs it; any thread may
 * add and cancel. */
#pragma once

#include "server/http/http-server.h"

G_BEGIN_DECLS

#define CM_WHEEL_TICK_MS 8
#define CM_WHEEL_NEVER   G_MAXINT64

typedef struct _CmWheel CmWheel;

CmWheel *cm_wheel_new (gint64 now_us);
/* What has not run by now never will; timers that somebody still holds stay valid for
 * cm_timer_cancel. */
void cm_wheel_close (CmWheel *wheel);

/**
 * cm_wheel_add: @func will run in cm_wheel_run, @delay_ms from @now_us or up to a tick later; again
 * after as long while it returns G_SOURCE_CONTINUE.
 * @sooner: (out): whether the wheel's next turn has moved forward, so that its thread must be
 * woken. Returns: (transfer full) the timer, to be given to cm_timer_cancel once, whether it has
 * run or not.
 */
CmTimer *cm_wheel_add (CmWheel *wheel, gint64 now_us, guint delay_ms, GSourceFunc func,
                       gpointer data, gboolean *sooner);

/* When cm_wheel_run means to be called again, as it last said, or sooner for what was added since.
 */
gint64 cm_wheel_turn (CmWheel *wheel);

/* Runs what is due. Returns when to come again, in monotonic microseconds, or CM_WHEEL_NEVER. */
gint64 cm_wheel_run (CmWheel *wheel, gint64 now_us);

G_END_DECLS
