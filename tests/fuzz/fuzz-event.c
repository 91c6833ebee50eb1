#include "tests/fuzz/fuzz.h"

#include "crypto/id.h"
#include "federation/auth-rules.h"
#include "federation/event.h"

#include <string.h>

/* The event judges itself: whatever it says of the room is taken as the room's state. */
static const CmEvent *
look_up (const char *type, const char *state_key, gpointer data)
{
  return cm_event_is (data, type, state_key) ? data : NULL;
}

static void
check_forms (CmEvent *event)
{
  g_autoptr (CmEvent) again = cm_event_parse (event->version, event->json, NULL);
  g_autoptr (CmEvent) pruned = cm_event_redact (event, NULL, NULL);
  g_autoptr (CmEvent) twice = cm_event_redact (pruned, NULL, NULL);
  g_autoptr (CmEvent) parsed = cm_event_parse (event->version, pruned->json, NULL);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  FUZZ_EXPECT (g_bytes_equal (again->bytes, event->bytes));
  FUZZ_EXPECT (strcmp (again->event_id, event->event_id) == 0);
  FUZZ_EXPECT (g_bytes_equal (twice->bytes, pruned->bytes));
  FUZZ_EXPECT (parsed != NULL && strcmp (parsed->event_id, event->event_id) == 0);

  cm_json_open_array (writer, NULL);
  for (CmEventFormat format = CM_FORMAT_CLIENT; format <= CM_FORMAT_STRIPPED; format++)
    cm_event_write (writer, NULL, event, format, event->content);
  cm_json_close (writer);
  g_autoptr (GBytes) written = cm_json_writer_end (writer);
  g_autoptr (CmJsonDoc) read = cm_json_parse_bytes (written, NULL);
  FUZZ_EXPECT (cm_json_length (read != NULL ? cm_json_doc_root (read) : NULL) == 4);
}

/* Events of other servers: what is accepted has an id of its own in each form, and can be judged
 * and shown without harm. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (CmJsonDoc) doc = cm_json_parse ((const char *) data, size, NULL);

  for (const CmRoomVersion *version = cm_room_versions (); doc != NULL && version->name != NULL;
       version++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CmEvent) event = cm_event_parse (version, cm_json_doc_root (doc), &error);
    g_autoptr (GPtrArray) auth = g_ptr_array_new ();
    FUZZ_EXPECT (!event == !!error);
    if (event == NULL)
      continue;
    FUZZ_EXPECT (cm_id_is_event (event->event_id) && cm_id_is_room (event->room_id));
    FUZZ_EXPECT (cm_id_is_user (event->sender));
    check_forms (event);
    cm_event_hash_matches (event);
    cm_auth_check (event, look_up, event, NULL);
    g_ptr_array_add (auth, event);
    FUZZ_EXPECT (!cm_auth_check_auth_events (event, auth, NULL) ||
                 cm_json_length (cm_json_get (event->json, "auth_events")) <= 10);
    cm_server_acl_allows (event, "[2001:db8::1]:8448");
  }
  return 0;
}
