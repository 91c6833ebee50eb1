/* An incoming transaction as far as no database is needed: every PDU in it, as every room version.
 */
#include "tests/fuzz/fuzz.h"

#include "federation/event.h"

#include <string.h>

/* What was accepted can be stored and read again, and is then the same event. */
static void
check_reload (const CmEvent *event)
{
  g_autoptr (CmEvent) again = cm_event_load (event->version, event->bytes, event->event_id, NULL);
  FUZZ_EXPECT (again);
  FUZZ_EXPECT (g_bytes_equal (again->bytes, event->bytes));
  FUZZ_EXPECT (strcmp (again->room_id, event->room_id) == 0);
  FUZZ_EXPECT (strcmp (again->sender, event->sender) == 0);
  FUZZ_EXPECT (g_strcmp0 (again->state_key, event->state_key) == 0);
}

/* Redacting keeps the id and what is signed, and redacting again changes nothing. */
static void
check_redaction (const CmEvent *event)
{
  g_autoptr (CmEvent) once = cm_event_redact (event, NULL, NULL);
  FUZZ_EXPECT (once && strcmp (once->event_id, event->event_id) == 0);
  g_autoptr (CmEvent) twice = cm_event_redact (once, NULL, NULL);
  FUZZ_EXPECT (twice && g_bytes_equal (once->bytes, twice->bytes));
  g_autoptr (GBytes) before = cm_event_signed_payload (event);
  g_autoptr (GBytes) after = cm_event_signed_payload (once);
  FUZZ_EXPECT (before && after && g_bytes_equal (before, after));
}

static void
check_writing (const CmEvent *event)
{
  static const CmEventFormat formats[] = { CM_FORMAT_CLIENT, CM_FORMAT_CLIENT_NO_ROOM_ID,
                                           CM_FORMAT_FEDERATION, CM_FORMAT_STRIPPED };
  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
    cm_event_write (writer, NULL, event, formats[i], NULL);
    g_autoptr (GBytes) text = cm_json_writer_end (writer);
    g_autoptr (CmJsonDoc) doc = cm_json_parse_bytes (text, NULL);
    FUZZ_EXPECT (doc && cm_json_type (cm_json_doc_root (doc)) == CM_JSON_OBJECT);
  }
}

static void
check_pdu (const CmRoomVersion *version, const CmJson *pdu)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) event = cm_event_parse (version, pdu, &error);
  FUZZ_EXPECT (!event == !!error);
  if (!event)
    return;
  FUZZ_EXPECT (g_bytes_get_size (event->bytes) <= CM_EVENT_MAX_BYTES);
  FUZZ_EXPECT (event->event_id && event->room_id && event->type && event->sender && event->content);
  (void) cm_event_hash_matches (event);
  check_reload (event);
  check_redaction (event);
  check_writing (event);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (CmJsonDoc) doc = cm_json_parse_object ((const char *) data, size, NULL);
  const CmJson *pdus = doc ? cm_json_get_array (cm_json_doc_root (doc), "pdus") : NULL;
  gsize count = MIN (cm_json_length (pdus), 50);
  for (gsize i = 0; i < count; i++) {
    for (const CmRoomVersion *version = cm_room_versions (); version->name; version++)
      check_pdu (version, cm_json_item (pdus, i));
  }
  return 0;
}
