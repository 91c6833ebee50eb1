#include "server/http/budget.h"

#include "server/router/limits.h"

struct _CmBudget {
  gatomicrefcount refs;
  gsize total, for_one;
  GMutex lock;
  gsize taken;
  GHashTable *shares; /* address key -> GSIZE_TO_POINTER, of those who have one */
};

CmBudget *
cm_budget_new (gsize total, gsize for_one)
{
  CmBudget *budget = g_new0 (CmBudget, 1);

  g_atomic_ref_count_init (&budget->refs);
  budget->total = total;
  budget->for_one = for_one;
  g_mutex_init (&budget->lock);
  budget->shares = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return budget;
}

CmBudget *
cm_budget_ref (CmBudget *budget)
{
  g_atomic_ref_count_inc (&budget->refs);
  return budget;
}

void
cm_budget_unref (CmBudget *budget)
{
  if (budget == NULL || !g_atomic_ref_count_dec (&budget->refs))
    return;
  g_hash_table_unref (budget->shares);
  g_mutex_clear (&budget->lock);
  g_free (budget);
}

gboolean
cm_budget_take (CmBudget *budget, const char *address, gsize bytes)
{
  g_autofree char *key = cm_limits_address_key (address);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&budget->lock);
  gsize share = GPOINTER_TO_SIZE (g_hash_table_lookup (budget->shares, key));

  if (bytes > budget->total - budget->taken || bytes > budget->for_one - share)
    return FALSE;
  budget->taken += bytes;
  g_hash_table_insert (budget->shares, g_steal_pointer (&key), GSIZE_TO_POINTER (share + bytes));
  return TRUE;
}

void
cm_budget_return (CmBudget *budget, const char *address, gsize bytes)
{
  g_autofree char *key = cm_limits_address_key (address);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&budget->lock);
  gsize share = GPOINTER_TO_SIZE (g_hash_table_lookup (budget->shares, key));

  g_return_if_fail (bytes <= share);
  budget->taken -= bytes;
  if (share == bytes)
    g_hash_table_remove (budget->shares, key);
  else
    g_hash_table_insert (budget->shares, g_steal_pointer (&key), GSIZE_TO_POINTER (share - bytes));
}

gboolean
cm_charge_take (CmCharge *charge, CmBudget *budget, const char *address, gsize bytes)
{
  if (!cm_budget_take (budget, address, bytes))
    return FALSE;
  if (charge->budget == NULL) {
    charge->budget = cm_budget_ref (budget);
    charge->address = g_strdup (address);
  }
  charge->bytes += bytes;
  return TRUE;
}

void
cm_charge_return (CmCharge *charge)
{
  if (charge->budget == NULL)
    return;
  cm_budget_return (charge->budget, charge->address, charge->bytes);
  cm_budget_unref (charge->budget);
  g_free (charge->address);
  *charge = (CmCharge){ 0 };
}
