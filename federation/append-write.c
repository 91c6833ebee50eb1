/* What an event becomes in the database, and for other servers. */
#include "federation/room-private.h"

#include "crypto/id.h"
#include "federation/destinations.h"

#include <string.h>

static const CmSql sql_introduce = {
  "room-introduce",
  "INSERT INTO room (id, version) VALUES ($1, $2) ON CONFLICT DO NOTHING",
};

static const CmSql sql_event = {
  "event-add",
  "WITH bytes AS (INSERT INTO event_json (id, json) VALUES ($1, $14)) "
  "INSERT INTO event (id, event_id, room, position, depth, origin_server_ts, type, state_key, "
  "sender, flags, state_before, state_after, prev, auth) "
  "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $15)",
};

/* An outlier gets its place. Its bytes stay; so does whatever redacted it meanwhile. */
static const CmSql sql_event_place = {
  "event-place",
  "UPDATE event SET position = $2, flags = $3, state_before = $4, state_after = $5, prev = $6, "
  "auth = $7 WHERE id = $1 AND (flags & 4) <> 0",
};

/* The fence: the row is as this writer left it. */
static const CmSql sql_room = {
  "room-advance",
  "UPDATE room SET state = $2, extremities = $3, depth = $4 "
  "WHERE id = $1 AND epoch = $5 AND extremities = $6",
};

static const CmSql sql_missing = {
  "missing-event-add",
  "INSERT INTO missing_event (room, event_id, child) "
  "SELECT $1::bigint, id, $3::bigint FROM unnest ($2::text[]) AS ids (id) ON CONFLICT DO NOTHING",
};

static const CmSql sql_found = {
  "missing-event-found",
  "DELETE FROM missing_event WHERE room = $1 AND event_id = $2",
};

static void
introduce_room (CmRoomWrite *write)
{
  CmRoom *room = write->room;
  if (room->stored)
    return;
  cm_write_add (write->write, &sql_introduce,
                CM_ARGS (CM_INT (room->sym), CM_TEXT (room->version->name)));
  room->stored = write->introduced = TRUE;
}

static CmParam
position_param (const CmEventPlace *place)
{
  if (!place->visible)
    return CM_SQL_NULL;
  return place->negative ? CM_INT (place->position) : CM_POSITION (place->position);
}

void
cm_room_write_add_event (CmRoomWrite *write, const CmEvent *event, const CmEventPlace *place)
{
  gboolean outlier = (event->flags & CM_EVENT_OUTLIER) != 0;
  CmParam position = position_param (place);
  CmParam before = outlier ? CM_SQL_NULL : CM_INT (event->state_before);
  CmParam after = outlier ? CM_SQL_NULL : CM_INT (event->state_after);
  if (place->stored) {
    cm_write_add_fenced (write->write, &sql_event_place,
                         CM_ARGS (CM_INT (event->number), position, CM_INT (event->flags), before,
                                  after, cm_param_integers (event->prev),
                                  cm_param_integers (event->auth)));
    return;
  }
  introduce_room (write);
  CmParam state_key = event->state_key != NULL ? CM_INT (event->state_key_sym) : CM_SQL_NULL;
  cm_write_add (write->write, &sql_event,
                CM_ARGS (CM_INT (event->number), CM_TEXT (event->event_id),
                         CM_INT (event->room_sym), position, CM_INT (event->depth),
                         CM_INT (event->origin_server_ts), CM_INT (event->type_sym), state_key,
                         CM_INT (event->sender_sym), CM_INT (event->flags), before, after,
                         cm_param_integers (event->prev), CM_BYTES (event->bytes),
                         cm_param_integers (event->auth)));
}

void
cm_room_write_add_missing (CmRoomWrite *write, const CmEvent *event, GPtrArray *missing)
{
  cm_write_add (write->write, &sql_found,
                CM_ARGS (CM_INT (event->room_sym), CM_TEXT (event->event_id)));
  if (missing->len > 0)
    cm_write_add (
        write->write, &sql_missing,
        CM_ARGS (CM_INT (event->room_sym), cm_param_texts (missing), CM_INT (event->number)));
}

void
cm_room_write_add_room (CmRoomWrite *write)
{
  const CmRoom *room = write->room;
  const CmRoomView *view = write->view;
  CmParam before =
      room->tip != NULL ? cm_param_integers (room->tip->extremities) : CM_INTS (NULL, 0);
  cm_write_add_fenced (write->write, &sql_room,
                       CM_ARGS (CM_INT (room->sym), CM_INT (view->state_id),
                                cm_param_integers (view->extremities), CM_INT (view->depth),
                                CM_INT (room->epoch), before));
}

static gboolean
has (const GPtrArray *names, const char *name)
{
  for (guint i = 0; i < names->len; i++) {
    if (g_strcmp0 (names->pdata[i], name) == 0)
      return TRUE;
  }
  return FALSE;
}

/* One whose invite is taken back, whose knock is refused or who is banned from afar hears of it
 * too, though none of that server's users need be in the room. */
static const char *
extra_server (const CmRoomWrite *write, const CmEvent *event)
{
  const char *membership = cm_event_membership (event);
  if (membership == NULL || event->state_key == NULL || strcmp (membership, "invite") == 0 ||
      cm_room_write_is_local (write, event->state_key))
    return NULL;
  return cm_id_domain (event->state_key);
}

void
cm_room_write_tell_servers (CmRoomWrite *write, const CmEvent *event, GPtrArray *before,
                            gint64 offset, CmStoreFlags flags)
{
  gboolean own = cm_room_write_is_local (write, event->sender);
  if ((flags & CM_STORE_QUIET) != 0 || (!own && (flags & CM_STORE_RELAY) == 0))
    return;
  g_autoptr (GPtrArray) servers = g_ptr_array_new (); /* borrowed names */
  const char *sender = cm_id_domain (event->sender);
  GPtrArray *sets[] = { write->view->others, before };
  for (gsize i = 0; i < G_N_ELEMENTS (sets); i++) {
    if (i > 0 && sets[i] == sets[0])
      break;
    for (guint j = 0; j + 1 < sets[i]->len; j++) {
      if (g_strcmp0 (sets[i]->pdata[j], sender) != 0 &&
          (i == 0 || !has (sets[0], sets[i]->pdata[j])))
        g_ptr_array_add (servers, sets[i]->pdata[j]);
    }
  }
  const char *extra = extra_server (write, event);
  if (extra != NULL && g_strcmp0 (extra, sender) != 0 && !has (servers, extra))
    g_ptr_array_add (servers, (char *) extra);
  if (servers->len == 0)
    return;
  g_ptr_array_add (servers, NULL);
  cm_destinations_event (write->write, event->number, offset, (const char *const *) servers->pdata);
}
