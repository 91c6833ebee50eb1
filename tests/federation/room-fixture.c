#include "room-fixture.h"

#include <string.h>

static const char *const version_names[] = { "10", "11", "12" };

static const char base_state[] =
    "[['m.room.create','','@creator:a',{'creator':'@creator:a','room_version':'VERSION'}],"
    "['m.room.power_levels','','@creator:a',{'users':{'@admin:a':100,'@mod:a':50}}],"
    "['m.room.join_rules','','@creator:a',{'join_rule':'invite'}],"
    "['m.room.member','@creator:a','@creator:a',{'membership':'join'}],"
    "['m.room.member','@admin:a','@admin:a',{'membership':'join'}],"
    "['m.room.member','@mod:a','@mod:a',{'membership':'join'}],"
    "['m.room.member','@user:b','@user:b',{'membership':'join'}],"
    "['m.room.member','@other:b','@other:b',{'membership':'join'}],"
    "['m.room.member','@invited:b','@mod:a',{'membership':'invite'}],"
    "['m.room.member','@knocker:b','@knocker:b',{'membership':'knock'}],"
    "['m.room.member','@left:b','@left:b',{'membership':'leave'}],"
    "['m.room.member','@banned:b','@mod:a',{'membership':'ban'}],"
    "['m.room.third_party_invite','tok','@mod:a',{'public_key':'KEY'}]]";

static char *
text_of (const CmJson *json)
{
  g_autoptr (GBytes) bytes = cm_json_canonical (json, NULL, NULL);
  return g_strndup (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
}

static CmSigningKey *
third_party_key (void)
{
  const guint8 seed[32] = { 1, 2, 3 };
  return cm_signing_key_new ("ed25519:0", seed, NULL);
}

static CmJsonDoc *
expand (const RoomFixture *room, const char *json)
{
  g_autoptr (CmSigningKey) key = third_party_key ();
  g_autoptr (CmJsonDoc) bare = fixture_json ("{'mxid':'@left:b','token':'tok'}");
  g_autoptr (CmJsonDoc) proven = cm_sign_json (cm_json_doc_root (bare), "id.example", key, NULL);
  g_autofree char *object = text_of (cm_json_doc_root (proven));
  g_autoptr (GString) text = g_string_new (json);

  g_string_replace (text, "VERSION", room->version, 0);
  g_string_replace (text, "SIGNED", object, 0);
  g_string_replace (text, "KEY", cm_signing_key_public (key), 0);
  return fixture_json ("%s", text->str);
}

static CmEvent *
make_event (const RoomFixture *room, const char *event_id, const CmJson *json)
{
  gboolean hashed = strcmp (room->version, "12") == 0;
  gboolean create = g_strcmp0 (cm_json_get_text (json, "type"), "m.room.create") == 0;
  g_autofree char *text = NULL;

  if (cm_json_get (json, "room_id") != NULL || (hashed && create)) {
    text = text_of (json);
  } else {
    g_autoptr (CmJsonDoc) placed = fixture_with (json, "room_id", hashed ? "'!create'" : "'!r:a'");
    text = text_of (cm_json_doc_root (placed));
  }
  return fixture_event (room->version, event_id, "%s", text);
}

static void
set_state (RoomFixture *room, const CmJson *change)
{
  const char *type = cm_json_text (cm_json_item (change, 0));
  const char *state_key = cm_json_text (cm_json_item (change, 1));
  g_autofree char *key = g_strconcat (type, "\n", state_key, NULL);

  if (cm_json_length (change) == 2) {
    g_assert_true (g_hash_table_remove (room->state, key));
    return;
  }
  g_autofree char *content = text_of (cm_json_item (change, 3));
  g_autoptr (CmJsonDoc) json =
      fixture_json ("{'content':%s,'sender':'%s','state_key':'%s','type':'%s'}", content,
                    cm_json_text (cm_json_item (change, 2)), state_key, type);
  CmEvent *event = make_event (room, strcmp (type, "m.room.create") == 0 ? "$create" : key,
                               cm_json_doc_root (json));
  g_hash_table_insert (room->state, g_steal_pointer (&key), event);
}

void
room_fixture_change (RoomFixture *room, const char *changes)
{
  g_autoptr (CmJsonDoc) doc = expand (room, changes);
  const CmJson *change;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_doc_root (doc));
  while (cm_json_iter_next (&iter, NULL, &change))
    set_state (room, change);
}

RoomFixture *
room_fixture_new (const char *version)
{
  RoomFixture *room = g_new0 (RoomFixture, 1);

  room->version = version;
  room->state =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) cm_event_unref);
  room_fixture_change (room, base_state);
  return room;
}

void
room_fixture_free (RoomFixture *room)
{
  g_hash_table_unref (room->state);
  g_free (room);
}

CmEvent *
room_fixture_event (const RoomFixture *room, const char *json)
{
  g_autoptr (CmJsonDoc) doc = expand (room, json);
  return make_event (room, "$event", cm_json_doc_root (doc));
}

const CmEvent *
room_fixture_state (const RoomFixture *room, const char *type, const char *state_key)
{
  g_autofree char *key = g_strconcat (type, "\n", state_key, NULL);
  return g_hash_table_lookup (room->state, key);
}

static const CmEvent *
look_up (const char *type, const char *state_key, gpointer data)
{
  return room_fixture_state (data, type, state_key);
}

void
room_fixture_assert (RoomFixture *room, const char *json, const char *rule)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) event = room_fixture_event (room, json);
  gboolean allowed = cm_auth_check (event, look_up, room, &error);

  g_test_message ("version %s: %s: %s", room->version, json, allowed ? "allowed" : error->message);
  if (rule == NULL) {
    g_assert_no_error (error);
    g_assert_true (allowed);
    return;
  }
  g_autofree char *number = g_strdup_printf (" (rule %s)", rule);
  g_assert_false (allowed);
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  g_assert_true (g_str_has_suffix (error->message, number));
}

static void
test_vector (gconstpointer data)
{
  const RoomVector *vector = data;

  for (gsize i = 0; i < G_N_ELEMENTS (version_names); i++) {
    if ((vector->versions & 1u << i) == 0)
      continue;
    g_autoptr (RoomFixture) room = room_fixture_new (version_names[i]);
    if (vector->state != NULL)
      room_fixture_change (room, vector->state);
    room_fixture_assert (room, vector->event, i < 2 ? vector->rule_old : vector->rule);
  }
}

void
room_fixture_add_vectors (const char *suite, const RoomVector *vectors, gsize count)
{
  for (gsize i = 0; i < count; i++) {
    g_autofree char *path = g_strdup_printf ("/%s/%s", suite, vectors[i].name);
    g_test_add_data_func (path, &vectors[i], test_vector);
  }
}
