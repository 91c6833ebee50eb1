#include "schema/waiter.h"

void
cm_waiter_init (CmWaiter *waiter)
{
  *waiter = (CmWaiter){ .has_ended = FALSE };
  g_mutex_init (&waiter->mutex);
  g_cond_init (&waiter->ended);
}

void
cm_waiter_end (CmWaiter *waiter, const GError *error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&waiter->mutex);

  waiter->error = error != NULL ? g_error_copy (error) : NULL;
  waiter->has_ended = TRUE;
  g_cond_signal (&waiter->ended);
}

gboolean
cm_waiter_wait (CmWaiter *waiter, GError **error)
{
  g_mutex_lock (&waiter->mutex);
  while (!waiter->has_ended)
    g_cond_wait (&waiter->ended, &waiter->mutex);
  g_mutex_unlock (&waiter->mutex);
  g_mutex_clear (&waiter->mutex);
  g_cond_clear (&waiter->ended);
  if (waiter->error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&waiter->error));
  return FALSE;
}
