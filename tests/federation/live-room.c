#include "tests/federation/live-room.h"

#include <string.h>

void
live_room_init (LiveRoom *fixture, TestCluster *cluster, const char *version)
{
  fixture->engine = engine_new (cluster);
  fixture->version = g_strdup (version != NULL ? version : "11");
  fixture->room = engine_room (fixture->engine, fixture->version, ALICE);
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  fixture->room_id = g_strdup (view->room_id);
}

void
live_room_init_shared (LiveRoom *fixture, TestCluster *cluster, const char *version)
{
  live_room_init (fixture, cluster, version);
  g_autoptr (CmEvent) power =
      engine_send (fixture->room, ALICE, "m.room.power_levels", "",
                   strcmp (version, "12") == 0
                       ? "{'events':{'m.room.topic':0}}"
                       : "{'events':{'m.room.topic':0},'users':{'@alice:here.example':100}}");
  g_autoptr (CmEvent) join = engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.member",
                                             CAROL, "{'membership':'join'}", NULL);
  g_assert_cmpint (engine_receive (fixture->room, join), ==, CM_VERDICT_ACCEPTED);
  g_free (engine_told ());
}

void
live_room_clear (LiveRoom *fixture)
{
  g_clear_pointer (&fixture->room, cm_room_unref);
  g_free (fixture->room_id);
  g_free (fixture->version);
  engine_free (fixture->engine);
}

void
live_room_restart (LiveRoom *fixture)
{
  g_clear_pointer (&fixture->room, cm_room_unref);
  engine_restart (fixture->engine);
  fixture->room = engine_get (fixture->engine, fixture->room_id);
}

CmEvent *
live_room_say (LiveRoom *fixture, const char *sender, const char *text)
{
  g_autofree char *content = g_strdup_printf ("{'msgtype':'m.text','body':'%s'}", text);
  return engine_send (fixture->room, sender, "m.room.message", NULL, content);
}

gint64
live_room_count (LiveRoom *fixture, const char *what)
{
  g_autofree char *text = engine_value (fixture->engine, "SELECT count (*) FROM %s", what);
  return g_ascii_strtoll (text, NULL, 10);
}

CmEvent *
live_room_foreign (LiveRoom *fixture, const char *sender, const char *type, const char *state_key,
                   const char *content)
{
  return engine_foreign (fixture->engine, fixture->room, sender, type, state_key, content, NULL);
}

CmEvent *
live_room_foreign_say (LiveRoom *fixture, const char *sender)
{
  return live_room_foreign (fixture, sender, "m.room.message", NULL, "{'body':'from afar'}");
}

void
live_room_assert_received (LiveRoom *fixture, CmEvent *event, CmVerdict expected)
{
  g_assert_cmpint (engine_receive (fixture->room, event), ==, expected);
}

CmEvent *
live_room_stored (LiveRoom *fixture, const char *event_id)
{
  g_autoptr (GError) error = NULL;
  CmEvent *event = cm_event_store_find (cm_rooms_events (fixture->engine->rooms), event_id, &error);
  g_assert_no_error (error);
  return event;
}

gboolean
live_room_is_extremity (LiveRoom *fixture, const CmEvent *event)
{
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  for (guint i = 0; i < view->extremities->len; i++) {
    if (g_array_index (view->extremities, gint64, i) == event->number)
      return TRUE;
  }
  return FALSE;
}

char *
live_room_topic (LiveRoom *fixture)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_autoptr (CmEvent) topic = cm_room_state_event (view, "m.room.topic", "", &error);
  g_assert_no_error (error);
  return topic != NULL ? g_strdup (cm_json_get_text (topic->content, "topic")) : NULL;
}

void
live_room_assert_tables_agree (LiveRoom *fixture)
{
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_autofree char *size = g_strdup_printf ("%" G_GSIZE_FORMAT, cm_state_map_size (view->state));
  engine_assert_value (fixture->engine, size,
                       "SELECT count (*) FROM current_state WHERE room = %" G_GINT64_FORMAT,
                       view->room);
  const CmStateEntry *entries = cm_state_map_entries (view->state);
  for (gsize i = 0; i < cm_state_map_size (view->state); i++) {
    g_autofree char *number = g_strdup_printf ("%" G_GINT64_FORMAT, entries[i].event);
    engine_assert_value (fixture->engine, number,
                         "SELECT event FROM current_state WHERE type = %u AND state_key = %u",
                         entries[i].type, entries[i].state_key);
  }
  g_autofree char *joined = g_strdup_printf ("%" G_GINT64_FORMAT, view->joined);
  engine_assert_value (fixture->engine, joined,
                       "SELECT count (*) FROM member WHERE membership = 'join'");
  engine_assert_value (fixture->engine, joined, "SELECT sum (joined) FROM room_server");
}
