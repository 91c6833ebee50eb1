#include "server/participant/listeners.h"

#include <string.h>

typedef struct {
  guint handle;
  char *room_id;
  CmHearFunc func;
  gpointer data;
} Listener;

static void
listener_free (gpointer data)
{
  Listener *listener = data;

  g_free (listener->room_id);
  g_free (listener);
}

guint
cm_participant_listen (CmParticipant *participant, const char *room_id, CmHearFunc func,
                       gpointer data)
{
  Listener *listener = g_new0 (Listener, 1);

  listener->room_id = g_strdup (room_id);
  listener->func = func;
  listener->data = data;
  g_mutex_lock (&participant->listeners_lock);
  if (participant->listeners == NULL)
    participant->listeners = g_ptr_array_new_with_free_func (listener_free);
  guint handle = listener->handle = ++participant->last_handle;
  g_ptr_array_add (participant->listeners, listener);
  g_mutex_unlock (&participant->listeners_lock);
  return handle;
}

void
cm_participant_unlisten (CmParticipant *participant, guint handle)
{
  g_mutex_lock (&participant->listeners_lock);
  for (guint i = 0; participant->listeners != NULL && i < participant->listeners->len; i++) {
    const Listener *listener = g_ptr_array_index (participant->listeners, i);
    if (listener->handle == handle) {
      g_ptr_array_remove_index (participant->listeners, i);
      break;
    }
  }
  g_mutex_unlock (&participant->listeners_lock);
}

gboolean
cm_listeners_want (CmParticipant *participant, const char *room_id)
{
  gboolean want = FALSE;

  g_mutex_lock (&participant->listeners_lock);
  for (guint i = 0; participant->listeners != NULL && i < participant->listeners->len; i++) {
    const Listener *listener = g_ptr_array_index (participant->listeners, i);
    want = want || strcmp (listener->room_id, room_id) == 0;
  }
  g_mutex_unlock (&participant->listeners_lock);
  return want;
}

/* Under the lock, so that cm_participant_unlisten can promise that the function runs no more. */
void
cm_listeners_tell (CmParticipant *participant, const CmHeard *heard)
{
  g_mutex_lock (&participant->listeners_lock);
  for (guint i = 0; participant->listeners != NULL && i < participant->listeners->len; i++) {
    const Listener *listener = g_ptr_array_index (participant->listeners, i);
    if (strcmp (listener->room_id, heard->room_id) == 0)
      listener->func (heard, listener->data);
  }
  g_mutex_unlock (&participant->listeners_lock);
}
