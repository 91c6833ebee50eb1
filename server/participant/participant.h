/* The node's own participant: a service account that takes part in encrypted rooms as any client
 * would, with one device. It goes through the client-server API (router/ask.h) like everybody else;
 * only its secrets live here, sealed under the node key. Agents and compliance devices are to be
 * built on it. */
#pragma once

#include "crypto/json.h"
#include "server/node.h"

G_BEGIN_DECLS

/* Starts the participant: its account (made at first), its device, its keys, and the thread that
 * follows its sync. */
CmParticipant *cm_participant_new (CmNode *node, GError **error);
void cm_participant_free (CmParticipant *participant);

const char *cm_participant_user_id (const CmParticipant *participant);

/* Joins @room_id (an id or an alias); nothing happens when it is joined. (transfer full) the room's
 * id. */
char *cm_participant_join (CmParticipant *participant, const char *room_id, GError **error);

/* Sends @text as m.text, encrypted when the room is. (transfer full) the event id. Blocking. */
char *cm_participant_say (CmParticipant *participant, const char *room_id, const char *text,
                          GError **error);

/* Something that was said in a room. */
typedef struct {
  const char *room_id;
  const char *event_id;
  const char *sender;
  const char *type;      /* of the decrypted event */
  const CmJson *content; /* NULL when it cannot be decrypted (@problem says why) */
  const char *problem;
  gboolean encrypted;
  gboolean own;
} CmHeard;

typedef void (*CmHearFunc) (const CmHeard *heard, gpointer data);

/* Calls @func (on the participant's thread) for every message in a room from now on, own ones
 * included. Returns a handle for cm_participant_unlisten. */
guint cm_participant_listen (CmParticipant *participant, const char *room_id, CmHearFunc func,
                             gpointer data);
/* Once this returns, the function runs no more. */
void cm_participant_unlisten (CmParticipant *participant, guint handle);
/* Calls @func here and now for the last @count messages of the room, oldest first. */
gboolean cm_participant_recall (CmParticipant *participant, const char *room_id, guint count,
                                CmHearFunc func, gpointer data, GError **error);

G_END_DECLS
