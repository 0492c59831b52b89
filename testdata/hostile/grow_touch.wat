;; attacks: limits.memory_mib, by taking for granted what it was refused
;; with: memory_mib=4
;; gets: plugin_failed limit=memory_mib
;; says: out of bounds
;; control: raw: answers 8388600
;; control: with memory_mib=8: answers 8388600
(module
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (drop (memory.grow (i32.const 127)))
    (i64.store (i32.const 8388600) (i64.const 8388600))
    (call $answer (i64.load (i32.const 8388600)))))
