import { defineConfig } from 'vite'

// In development the backend is beside Vite: one origin for the page, so that its cookies and the origin check hold.
const { BACKEND = 'http://127.0.0.1:3000' } = process.env
const proxy = { '/enroll': BACKEND, '/login': BACKEND }

export default defineConfig({
  server: { port: 5173, strictPort: true, proxy },
  preview: { port: 5173, strictPort: true, proxy },
})
