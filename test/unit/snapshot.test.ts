// Copies of the databases, and what of them reaches which disk.
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { expect, it } from 'vitest'
import { takeSnapshot } from '../../deriver/snapshot.ts'
import { openCopy } from '../../deriver/store-image.ts'
import { caStorePath, openCaStore, openStore, storePath } from '../../deriver/store.ts'
import { tenant, useTenant } from '../lib/deriver.ts'

useTenant()

const module = (name: string): string =>
  JSON.stringify(new URL(`../../deriver/${name}.ts`, import.meta.url).href)

it('are overwritten on the disk, not only in the memory of the system, before they are deleted', async () => {
  // In a process of its own: what it asks to be put on the disk, and whether that is zeros.
  const script = `
    import fs from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    fs.fsyncSync = (file) => {
      const bytes = Buffer.alloc(fs.fstatSync(file).size)
      fs.readSync(file, bytes, 0, bytes.length, 0)
      console.log(bytes.length > 0 && bytes.every((byte) => byte === 0))
    }
    syncBuiltinESMExports()
    const { openStore } = await import(${module('store')})
    const { takeSnapshot } = await import(${module('snapshot')})
    const store = openStore(${JSON.stringify(storePath(tenant.directory))})
    takeSnapshot(store, ${JSON.stringify(tenant.directory)}).close()
    store.close()`
  const said = await new Promise<string>((resolve) => {
    const args = ['--input-type=module', '--eval', script]
    execFile(process.execPath, args, (_error, stdout, stderr) => resolve(stdout + stderr))
  })
  // Two databases, and who made the copies.
  expect(said).toBe('true\ntrue\ntrue\n')
  expect(readdirSync(tenant.directory).filter((name) => name.startsWith('.backup'))).toEqual([])
})

it('no connection to a database makes temporary files, which would be elsewhere', () => {
  const { directory } = tenant
  const copies = takeSnapshot(tenant.store, directory)
  const all = [
    openStore(storePath(directory)),
    openCaStore(caStorePath(directory)),
    openCopy(copies.files[0]!.path),
  ]
  for (const one of all) {
    // 2 is in memory.
    expect(one.get('PRAGMA temp_store')).toEqual({ temp_store: 2 })
    one.close()
  }
  copies.close()
})
