#include "federation/redaction.h"

#include <string.h>

/* What is kept, and from which to which algorithm. In order, so that the pruned form is canonical
 * as it is written. */
typedef struct {
  const char *key;
  CmRedaction from;
  CmRedaction to;
} KeptMember;

static const KeptMember kept_members[] = {
  { "auth_events", CM_REDACTION_V1, CM_REDACTION_V11 },
  { "content", CM_REDACTION_V1, CM_REDACTION_V11 },
  { "depth", CM_REDACTION_V1, CM_REDACTION_V11 },
  { "event_id", CM_REDACTION_V1, CM_REDACTION_V11 },
  { "hashes", CM_REDACTION_V1, CM_REDACTION_V11 },
  { "membership", CM_REDACTION_V1, CM_REDACTION_V9 },
  { "origin", CM_REDACTION_V1, CM_REDACTION_V9 },
  { "origin_server_ts", CM_REDACTION_V1, CM_REDACTION_V11 },
  { "prev_events", CM_REDACTION_V1, CM_REDACTION_V11 },
  { "prev_state", CM_REDACTION_V1, CM_REDACTION_V9 },
  { "room_id", CM_REDACTION_V1, CM_REDACTION_V11 },
  { "sender", CM_REDACTION_V1, CM_REDACTION_V11 },
  { "signatures", CM_REDACTION_V1, CM_REDACTION_V11 },
  { "state_key", CM_REDACTION_V1, CM_REDACTION_V11 },
  { "type", CM_REDACTION_V1, CM_REDACTION_V11 },
};

typedef struct {
  const char *type;
  const char *key; /* NULL: the whole content */
  CmRedaction from;
  CmRedaction to;
  const char *only; /* of the value, an object, only this member */
} KeptContent;

static const KeptContent kept_content[] = {
  { "m.room.aliases", "aliases", CM_REDACTION_V1, CM_REDACTION_V1, NULL },
  { "m.room.create", "creator", CM_REDACTION_V1, CM_REDACTION_V9, NULL },
  { "m.room.create", NULL, CM_REDACTION_V11, CM_REDACTION_V11, NULL },
  { "m.room.history_visibility", "history_visibility", CM_REDACTION_V1, CM_REDACTION_V11, NULL },
  { "m.room.join_rules", "allow", CM_REDACTION_V8, CM_REDACTION_V11, NULL },
  { "m.room.join_rules", "join_rule", CM_REDACTION_V1, CM_REDACTION_V11, NULL },
  { "m.room.member", "join_authorised_via_users_server", CM_REDACTION_V9, CM_REDACTION_V11, NULL },
  { "m.room.member", "membership", CM_REDACTION_V1, CM_REDACTION_V11, NULL },
  { "m.room.member", "third_party_invite", CM_REDACTION_V11, CM_REDACTION_V11, "signed" },
  { "m.room.power_levels", "ban", CM_REDACTION_V1, CM_REDACTION_V11, NULL },
  { "m.room.power_levels", "events", CM_REDACTION_V1, CM_REDACTION_V11, NULL },
  { "m.room.power_levels", "events_default", CM_REDACTION_V1, CM_REDACTION_V11, NULL },
  { "m.room.power_levels", "invite", CM_REDACTION_V11, CM_REDACTION_V11, NULL },
  { "m.room.power_levels", "kick", CM_REDACTION_V1, CM_REDACTION_V11, NULL },
  { "m.room.power_levels", "redact", CM_REDACTION_V1, CM_REDACTION_V11, NULL },
  { "m.room.power_levels", "state_default", CM_REDACTION_V1, CM_REDACTION_V11, NULL },
  { "m.room.power_levels", "users", CM_REDACTION_V1, CM_REDACTION_V11, NULL },
  { "m.room.power_levels", "users_default", CM_REDACTION_V1, CM_REDACTION_V11, NULL },
  { "m.room.redaction", "redacts", CM_REDACTION_V11, CM_REDACTION_V11, NULL },
};

static void
write_kept_content (CmJsonWriter *writer, const KeptContent *kept, const CmJson *content)
{
  const CmJson *value = cm_json_get (content, kept->key);

  if (kept->only == NULL) {
    cm_json_put_node (writer, kept->key, value);
  } else if (cm_json_type (value) == CM_JSON_OBJECT) {
    cm_json_open_object (writer, kept->key);
    cm_json_put_node (writer, kept->only, cm_json_get (value, kept->only));
    cm_json_close (writer);
  }
}

/* Keys are asked for by name and never copied from the event, since a key there may hold U+0000. */
static void
write_content (CmJsonWriter *writer, CmRedaction redaction, const char *type, const CmJson *content)
{
  gboolean open = FALSE;

  for (gsize i = 0; type != NULL && i < G_N_ELEMENTS (kept_content); i++) {
    const KeptContent *kept = &kept_content[i];
    if (redaction < kept->from || redaction > kept->to || strcmp (kept->type, type) != 0)
      continue;
    if (kept->key == NULL) {
      cm_json_put_node (writer, "content", content);
      return;
    }
    if (!open)
      cm_json_open_object (writer, "content");
    open = TRUE;
    write_kept_content (writer, kept, content);
  }
  if (!open)
    cm_json_open_object (writer, "content");
  cm_json_close (writer);
}

GBytes *
cm_redaction_apply (CmRedaction redaction, const CmJson *event, const char *without)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const char *type = cm_json_get_text (event, "type");

  cm_json_open_object (writer, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (kept_members); i++) {
    const KeptMember *kept = &kept_members[i];
    const CmJson *value = cm_json_get (event, kept->key);
    if (value == NULL || redaction > kept->to || g_strcmp0 (kept->key, without) == 0)
      continue;
    if (strcmp (kept->key, "content") == 0)
      write_content (writer, redaction, type, value);
    else
      cm_json_put_node (writer, kept->key, value);
  }
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}
