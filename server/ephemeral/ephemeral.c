#include "server/ephemeral/ephemeral-private.h"

CmEphemeral *
cm_ephemeral_new (CmNode *node)
{
  CmEphemeral *ephemeral = g_new0 (CmEphemeral, 1);

  ephemeral->node = node;
  ephemeral->epoch = g_random_int ();
  g_mutex_init (&ephemeral->mutex);
  ephemeral->rooms = cm_typing_rooms_new ();
  ephemeral->people = cm_presence_people_new ();
  return ephemeral;
}

void
cm_ephemeral_free (CmEphemeral *ephemeral)
{
  if (ephemeral == NULL)
    return;
  g_hash_table_unref (ephemeral->rooms);
  g_hash_table_unref (ephemeral->people);
  g_mutex_clear (&ephemeral->mutex);
  g_free (ephemeral);
}

guint32
cm_ephemeral_epoch (CmEphemeral *ephemeral)
{
  return ephemeral->epoch;
}

gint64
cm_ephemeral_counter (CmEphemeral *ephemeral)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);

  return ephemeral->counter;
}

void
cm_ephemeral_tick (CmEphemeral *ephemeral)
{
  gint64 now = g_get_monotonic_time ();

  cm_typing_tick (ephemeral, now);
  cm_presence_tick (ephemeral, now);
}
